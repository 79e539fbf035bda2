# Build: docker build --tag oicp-adapter .
# Run:   docker run --volume ./settings:/settings:ro --volume oicp-data:/var/lib/oicp-adapter \
#            --env OICP_ADAPTER_CONFIG=/settings/oicp-adapter.toml oicp-adapter
# `.ci/run` tries these very steps without a container engine, so keep to the instructions it knows.

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY oicp_adapter oicp_adapter
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv /opt/oicp-adapter \
    && /opt/oicp-adapter/bin/pip install --no-cache-dir /wheels/*.whl

FROM python:3.11-slim
COPY --from=build /opt/oicp-adapter /opt/oicp-adapter
# A number, so that "run as non-root" can be enforced by what runs the image; it needs no entry in /etc/passwd.
RUN install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/oicp-adapter
ENV PATH=/opt/oicp-adapter/bin:$PATH
WORKDIR /var/lib/oicp-adapter
USER 10001:10001
EXPOSE 9464
ENTRYPOINT ["oicp-adapter"]
CMD ["run"]
