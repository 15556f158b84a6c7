#!/usr/bin/env bash
# Creates the drivers' user in the running MLflow, from the Secret `mlflow-client`.
#   k8s/mlflow-user.sh [NAMESPACE]
set -euo pipefail
namespace="${1:-transfer-search}"

# The values go through standard input, so that they are not arguments of a process.
kubectl --namespace "$namespace" get secret mlflow-client \
  --output go-template='{{.data.username | base64decode}} {{.data.password | base64decode}}' |
  kubectl --namespace "$namespace" exec --stdin deployment/mlflow -- python -c '
import base64, json, os, sys, urllib.error, urllib.request
name, password = sys.stdin.read().split()
admin = "admin:" + os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
request = urllib.request.Request(
    "http://localhost:5000/api/2.0/mlflow/users/create",
    data=json.dumps({"username": name, "password": password}).encode(),
    headers={
        "Content-Type": "application/json",
        "Authorization": "Basic " + base64.b64encode(admin.encode()).decode(),
    },
)
try:
    urllib.request.urlopen(request).close()
    print("made user", name)
except urllib.error.HTTPError as error:
    # The message of MLflow would show the hash of the password.
    code = json.loads(error.read()).get("error_code")
    if code != "RESOURCE_ALREADY_EXISTS":
        sys.exit(f"MLflow answered {error.code} {code}")
    print("user", name, "is there already")
'
