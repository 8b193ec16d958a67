"""
REES46's PHP script, in Python: read everything, split it into chunks of 1000, send one POST after another.

As with PHP's `curl_init` inside the loop, each request opens its own connection, and the first response other than 200
ends the script.
"""

from __future__ import annotations

import http.client
import json
import sys
from urllib.parse import urlsplit

import psycopg2
from common import BATCH, CODES, task


def main() -> None:
    """Send all orders."""
    job = task(__doc__)
    with psycopg2.connect(job.warehouse) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT order_id, status FROM orders")
        rows = cursor.fetchall()
    orders = [{"id": order_id, "status": CODES[status]} for order_id, status in rows]
    url = urlsplit(job.url)
    for start in range(0, len(orders), BATCH):
        chunk = orders[start : start + BATCH]
        body = json.dumps({"shop_id": job.shop_id, "shop_secret": job.shop_secret, "orders": chunk})
        http_connection = http.client.HTTPConnection(url.hostname or "", url.port)
        http_connection.request("POST", url.path, body, {"Content-Type": "application/json"})
        answer = http_connection.getresponse()
        answer.read()
        http_connection.close()
        if answer.status != 200:
            sys.exit(f"HTTP {answer.status}")


if __name__ == "__main__":
    main()
