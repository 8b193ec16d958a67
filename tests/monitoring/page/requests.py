"""Requests to the page."""

from __future__ import annotations

from fastapi.testclient import TestClient

SECTIONS = ["", "/statuses", "/runs", "/runs/1", "/quarantine", "/quarantine.csv", "/orders"]
"""What comes after ``/shops/<shop>`` in the addresses of the page."""


def get_text(client: TestClient, path: str, status: int = 200) -> str:
    """Return the text of a page; its status must be as expected."""
    response = client.get(f"/rees46{path}")
    assert response.status_code == status, response.text
    return response.text
