# One image for head, worker, submitter, retraining and the MLflow server (docs/how-to/docker.md).
#   docker build -t transfer-search:dev .                         torch for CPUs
#   docker build -t transfer-search:dev --build-arg TORCH=cuda .  torch with its CUDA libraries
# Needs BuildKit. The arguments PIP_* choose the package index; if its address has a password, pass it as a
# secret instead: --secret id=pip,src=pip.conf. Neither is in the resulting image.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# cpu: PyTorch's own index, or TORCH_INDEX (empty: pip's own). cuda: pip's own, or TORCH_INDEX.
ARG TORCH=cpu
ARG TORCH_INDEX
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ENV PIP_CONSTRAINT=/source/constraints.txt PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# The image's environment has no pip: the pip of a second environment installs into it.
RUN python3 -m venv /pip && python3 -m venv --without-pip /opt/transfer-search
WORKDIR /source
COPY constraints.txt pyproject.toml ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    case "$TORCH" in \
      cpu) index="${TORCH_INDEX-https://download.pytorch.org/whl/cpu}" ;; \
      cuda) index="$TORCH_INDEX" ;; \
      *) echo "TORCH=$TORCH: give cpu or cuda" >&2; exit 2 ;; \
    esac \
 && /pip/bin/pip --python /opt/transfer-search install --no-deps ${index:+--index-url "$index"} torch
# Layers that change seldom come first: the packages, then the project.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*project["dependencies"], *project["optional-dependencies"]["service"], sep="\n")' \
      > requirements.txt \
 && /pip/bin/pip --python /opt/transfer-search install -r requirements.txt
COPY README.md LICENSE ./
COPY spaces spaces
COPY trainables trainables
COPY search search
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /pip/bin/pip --python /opt/transfer-search install --no-deps . \
 && /opt/transfer-search/bin/python -c "import torch; found = 'cuda' if torch.version.cuda else 'cpu'; \
assert found == '$TORCH', f'TORCH=$TORCH was asked for, and this is a build for {found}'"
# The root is read-only at run time, so bytecode is compiled here. An error does not stop the build: some
# packages contain files that are not Python of this version (templates). torch's headers are for
# compilers, which the image does not have, and nobody here needs its test programs.
RUN cd /opt/transfer-search/lib/python3*/site-packages && rm -r torch/include torch/test \
 && { /opt/transfer-search/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        /opt/transfer-search > /dev/null || true; }

FROM ${BASE_IMAGE}
# Nobody can become root in the image, and nothing can be installed. Any user may write to /work, so that
# `--user` works; a named volume copies these permissions when it is first mounted.
RUN if python3 -m pip --version > /dev/null 2>&1; then \
      python3 -m pip uninstall --yes --quiet --root-user-action=ignore pip setuptools wheel; fi \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && groupadd --gid 10001 search \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin search \
 && install --directory --owner=10001 --group=10001 --mode=1777 /work \
 && rm -rf /var/log/* /root/.cache
COPY --from=build /opt/transfer-search /opt/transfer-search
COPY --chmod=755 deploy/healthy.py /usr/local/bin/healthy
# LOGNAME: a user given by --user has no name, and libraries ask for one. RAY_AUTH_MODE: a Ray that is
# started without a token does not start, instead of running without authentication.
ENV PATH=/opt/transfer-search/bin:$PATH \
    PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp LOGNAME=search \
    TRANSFER_SEARCH_HOME=/work/transfer-search HF_HOME=/work/hub \
    RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true
WORKDIR /work
USER 10001:10001
RUN transfer-search doctor
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s CMD ["healthy"]
CMD ["transfer-search", "--help"]
# Last, so that a new revision does not rebuild the layers above.
ARG VERSION=0.1.0
ARG REVISION=unknown
# A retrain writes this into its lock as the code's commit: there is no checkout in the image.
ENV TRANSFER_SEARCH_REVISION=${REVISION}
LABEL org.opencontainers.image.title="transfer-search" \
      org.opencontainers.image.description="Searches over intermediate tasks for zero-shot cross-lingual transfer" \
      org.opencontainers.image.source="https://example.invalid/transfer-search" \
      org.opencontainers.image.documentation="docs/how-to/docker.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
