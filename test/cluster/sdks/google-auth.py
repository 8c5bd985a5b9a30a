"""What a container's program does with Google's auth library for Python: nothing is configured but by the environment.

    python google-auth.py

One JSON object on standard output.
"""

import json

import google.auth
from google.auth.transport.requests import Request

try:
    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_only"])
    credentials.refresh(Request())
    said = {"ok": True, "token": credentials.token}
except Exception as error:
    said = {"ok": False, "error": f"{type(error).__name__}: {error}"}
print(json.dumps(said))
