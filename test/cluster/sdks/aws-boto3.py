"""What a container's program does with boto3: nothing is configured but by the environment.

    python aws-boto3.py credentials|identity|list [BUCKET]

One JSON object on standard output.
"""

import json
import sys

import boto3


def credentials(session=None):
    found = (session or boto3.Session()).get_credentials()
    frozen = found.get_frozen_credentials()
    return {
        "method": found.method,
        "credentials": {
            "accessKeyId": frozen.access_key,
            "secretAccessKey": frozen.secret_key,
            "sessionToken": frozen.token,
        },
    }


def identity():
    session = boto3.Session()
    arn = session.client("sts").get_caller_identity()["Arn"]
    return {"arn": arn, "region": session.region_name, **credentials(session)}


def list_bucket():
    answer = boto3.client("s3").list_objects_v2(Bucket=sys.argv[2])
    return {"keys": [entry["Key"] for entry in answer.get("Contents", [])]}


try:
    said = {"ok": True, **{"credentials": credentials, "identity": identity, "list": list_bucket}[sys.argv[1]]()}
except Exception as error:
    said = {"ok": False, "error": f"{type(error).__name__}: {error}"}
print(json.dumps(said))
