"""A real S3 server with a bucket, shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import servers

BUCKET = "orders"
CONN_ID = "objects"


class Bucket:
    """
    A folder of a bucket, one for each test, and the Airflow connection to it.

    :ivar root: its URL, as in a shop file's ``staging``.
    """

    def __init__(self, store: servers.ObjectStore, folder: str) -> None:
        self.store = store
        self.folder = folder
        self.root = f"s3://{CONN_ID}@{BUCKET}/{folder}"
        self.client = store.client()

    def names(self) -> list[str]:
        """The names of the objects in the test's folder, relative to it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.folder}/")
        return [item["Key"].removeprefix(f"{self.folder}/") for page in pages for item in page.get("Contents", [])]


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.ObjectStore]:
    """An S3 server with a bucket."""
    with servers.object_store(tmp_path_factory.mktemp("s3")) as store:
        store.client().create_bucket(Bucket=BUCKET)
        yield store


@pytest.fixture
def bucket(
    object_store: servers.ObjectStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Bucket:
    """An empty folder of a bucket, and the connection to it."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", object_store.connection)
    return Bucket(object_store, f"test-{abs(hash(request.node.nodeid))}")
