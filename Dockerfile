# Build: docker build --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
#            --tag oicp-adapter .
# Run:   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --stop-timeout 75 \
#            --volume ./settings:/settings:ro --volume oicp-data:/var/lib/oicp-adapter \
#            --env OICP_ADAPTER_CONFIG=/settings/oicp-adapter.toml oicp-adapter
# `.ci/run` tries these very instructions without a container engine, so keep to those that it knows.

# Tag and digest of the same image for all platforms; docs/decisions.md says where they come from. Change them together.
ARG PYTHON_IMAGE=python:3.11.17-slim-bookworm@sha256:0a310eeecf4e1f5a0743f9a6520c90c88d089c903ca5fd283f501e3a805f5f89

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# What changes seldom first: a change of the program alone fetches no package again.
COPY locks locks
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: --requirement locks/build.txt \
    && python -m venv --without-pip /opt/oicp-adapter \
    && /build/bin/pip --python /opt/oicp-adapter/bin/python install --no-cache-dir --require-hashes --no-deps \
        --only-binary :all: --requirement locks/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY share share
COPY oicp_adapter oicp_adapter
RUN /build/bin/python -m hatchling build --target wheel --directory /wheels \
    && /build/bin/pip --python /opt/oicp-adapter/bin/python install --no-index --no-deps /wheels/*.whl \
    && /build/bin/pip --python /opt/oicp-adapter/bin/python check

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/oicp-adapter /opt/oicp-adapter
# A number, so that "run as non-root" can be enforced by what runs the image; it needs no entry in /etc/passwd.
RUN ["install", "--directory", "--owner=10001", "--group=10001", "--mode=0750", "/var/lib/oicp-adapter"]
ENV PATH=/opt/oicp-adapter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/oicp-adapter
USER 10001:10001
EXPOSE 9464
# Asks the daemon alone, neither hub nor store: their outage is no reason to restart it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["oicp-adapter", "healthcheck"]
ENTRYPOINT ["oicp-adapter"]
CMD ["run"]

# Last, since each build has its own.
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="oicp-adapter" \
    org.opencontainers.image.description="Keeps the EVSE statuses at Hubject equal to an operator's own" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}" \
    org.opencontainers.image.base.name="${PYTHON_IMAGE}"
