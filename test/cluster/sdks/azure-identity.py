"""What a container's program does with Azure Identity for Python: nothing is configured but by the environment.

    python azure-identity.py workload|default [private]

`private`: the authority is none of Microsoft's, so nobody there is asked about it; that cannot be said in the
environment. One JSON object on standard output.
"""

import json
import sys

from azure.identity import DefaultAzureCredential, WorkloadIdentityCredential

options = {"disable_instance_discovery": True} if "private" in sys.argv else {}
make = {"workload": WorkloadIdentityCredential, "default": DefaultAzureCredential}[sys.argv[1]]
try:
    said = {"ok": True, "token": make(**options).get_token("https://vault.azure.net/.default").token}
except Exception as error:
    said = {"ok": False, "error": f"{type(error).__name__}: {error}"}
print(json.dumps(said))
