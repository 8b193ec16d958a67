# An image of this project for Docker, Kubernetes and the official Helm chart: docs/deploying.md.
# It was not built, because the development machine has no Docker; tests/test_deploying.py runs its pip steps.
FROM apache/airflow:3.3.2-python3.11

COPY --chown=airflow:0 requirements.txt pyproject.toml README.md LICENSE /opt/rees46/
# The whole lock, with which the tests ran.
RUN pip install --no-cache-dir -r /opt/rees46/requirements.txt

COPY --chown=airflow:0 plugins/rees46_sync /opt/rees46/plugins/rees46_sync
RUN pip install --no-cache-dir --no-deps --no-build-isolation /opt/rees46

COPY --chown=airflow:0 plugins/rees46_plugin.py plugins/.airflowignore /opt/airflow/plugins/
COPY --chown=airflow:0 include /opt/airflow/include
COPY --chown=airflow:0 dags /opt/airflow/dags
