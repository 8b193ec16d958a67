"""REES46's statuses of an order: codes and names."""

from __future__ import annotations

CREATED, COMPLETED, CANCELLED = 0, 1, 2
"""Created; paid and delivered; cancelled. Source: REES46, "Synchronize Order Statuses"."""

STATUS_NAMES = ("created", "completed", "cancelled")
"""The name of each code."""
