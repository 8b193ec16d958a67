"""Rows in: from the shop's query to staged partitions. ``databases`` holds what differs between databases."""
