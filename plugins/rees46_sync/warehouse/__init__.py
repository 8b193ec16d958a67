"""Rows in: from the shop's query to staged partitions."""
