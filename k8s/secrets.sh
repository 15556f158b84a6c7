#!/usr/bin/env bash
# Makes the Secrets that the manifests name, with random values that nobody has to see. Run it once,
# before `kubectl apply -k`. It does not change a Secret that exists.
#   k8s/secrets.sh [NAMESPACE]
set -euo pipefail
namespace="${1:-transfer-search}"

kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace"

random() { head -c 32 /dev/urandom | base64 | tr -dc 'A-Za-z0-9'; }

# secret NAME: KEY=VALUE lines on standard input, so that no value is an argument of a process.
secret() {
  if kubectl --namespace "$namespace" get secret "$1" >/dev/null 2>&1; then
    echo "secret/$1 is there already"
    cat >/dev/null
  else
    kubectl --namespace "$namespace" create secret generic "$1" --from-env-file=/dev/stdin
  fi
}

secret postgres <<EOF
PGHOST=postgres
PGPORT=5432
PGDATABASE=mlflow
PGUSER=mlflow
PGPASSWORD=$(random)
EOF

secret mlflow <<EOF
admin-password=$(random)
flask-secret-key=$(random)
EOF

# The drivers' login; k8s/mlflow-user.sh creates this user in MLflow when MLflow runs.
secret mlflow-client <<EOF
username=driver
password=$(random)
EOF
