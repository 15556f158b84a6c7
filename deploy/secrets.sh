#!/usr/bin/env bash
# Makes the files that compose.yaml needs, with random values that nobody has to see: one file for each
# secret in .secrets/, and .env, which names the user that the services run as. It changes no file that exists.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077

# Docker shows a secret's file to the services with its owner and mode (0600). The services therefore run
# as the owner of the files. They do not run as root: root's files are given to the image's own user.
owner="$(id -u):$(id -g)"
if [ "$(id -u)" = 0 ]; then owner=10001:10001; fi

mkdir -p .secrets
for name in postgres_password mlflow_admin_password mlflow_driver_password mlflow_flask_key ray_token; do
  file=".secrets/$name"
  if [ -s "$file" ]; then
    echo "$file is there already"
    continue
  fi
  # 32 random bytes of the kernel, in hexadecimal, so that any file, address or shell takes them as one word.
  od -A n -t x1 -N 32 /dev/urandom | tr -d ' \n' > "$file.new"
  [ "$(wc -c < "$file.new")" = 64 ]
  if [ "$(id -u)" = 0 ]; then chown "$owner" "$file.new"; fi
  mv "$file.new" "$file"
  echo "made $file"
done

if ! grep -q '^SERVICE_USER=' .env 2> /dev/null; then
  echo "SERVICE_USER=$owner" >> .env
  echo "wrote SERVICE_USER=$owner to .env"
fi
