"""Creates the user `driver` in MLflow, which searches log in as; compose.yaml runs it before Ray.
It is not an admin: it may change what it created, and read what others created."""

import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

SECRETS = Path("/run/secrets")


def create(server: str, *, admin_password: str, password: str) -> str:
    """The line to print. Raises SystemExit with MLflow's error code where it refuses."""
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/users/create",
        data=json.dumps({"username": "driver", "password": password}).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": "Basic "
            + base64.b64encode(f"admin:{admin_password}".encode()).decode(),
        },
    )
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise SystemExit(
                "MLflow refuses the admin's password: it was made with another"
            ) from None
        # MLflow's message would show the hash of the password.
        code = json.loads(error.read()).get("error_code")
        if code != "RESOURCE_ALREADY_EXISTS":
            raise SystemExit(f"MLflow answered {error.code} {code}") from None
        return "user driver is there already"
    return "made user driver"


if __name__ == "__main__":
    admin, driver = (
        (SECRETS / f"mlflow_{who}_password").read_text().strip() for who in ("admin", "driver")
    )
    print(create(sys.argv[1], admin_password=admin, password=driver))
