# An image of this project for Docker, Kubernetes and the official Helm chart: docs/deploying.md.
# `make test-image` builds it with buildah, upon a Debian in place of Airflow's own image.
#
# Pin the base by its digest: docker build --build-arg AIRFLOW=apache/airflow@sha256:… .
ARG AIRFLOW=apache/airflow:3.3.2-python3.11

FROM ${AIRFLOW} AS wheel
COPY --chown=airflow:0 pyproject.toml README.md LICENSE /opt/rees46/
COPY --chown=airflow:0 plugins/rees46_sync /opt/rees46/plugins/rees46_sync
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /tmp/wheel /opt/rees46

FROM ${AIRFLOW}
# Or what `make lock-extras` has made of it with the extras that you use: requirements-extras.txt.
ARG REQUIREMENTS=requirements.txt
COPY --chown=airflow:0 ${REQUIREMENTS} /opt/rees46/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /opt/rees46/requirements.txt
COPY --from=wheel /tmp/wheel /opt/rees46/wheel
RUN pip install --no-cache-dir --no-deps /opt/rees46/wheel/*.whl

COPY --chown=airflow:0 include /opt/airflow/include
COPY --chown=airflow:0 dags /opt/airflow/dags
USER airflow
# Of the API server. compose.yaml has those of the other components; Kubernetes does not use this.
HEALTHCHECK --interval=30s --timeout=10s --start-period=1m \
    CMD ["curl", "--silent", "--fail", "http://localhost:8080/api/v2/monitor/health"]
