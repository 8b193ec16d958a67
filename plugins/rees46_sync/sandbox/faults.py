"""Injected faults: how the sandbox answers or processes badly, and which requests it does so to."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from fractions import Fraction

ODD_RESPONSES = {
    "empty_200": ("", None),
    "empty_204": ("", None),
    "ok_200": ("OK", "text/plain"),
    "json_200": ('{"status": "success"}', "application/json"),
    "cut_json_200": ('{"status": "suc', "application/json"),
    "html_in_200": ("<!doctype html><title>Sign in</title><p>Sign in to use this network.", "text/html"),
    "error_in_200": ('{"status": "error", "payload": {"message": "Shop not found"}}', "application/json"),
}
"""Body and content type of the 2xx responses; the kind ends in the HTTP status."""

UNANSWERED_KINDS = {"reset_before", "reset_after", "never", "never_after"}

SUCCESSFUL_KINDS = {"slow", "late", "drop"}
"""The faults whose answer is that of an accepted request."""

ACCEPTING_KINDS = SUCCESSFUL_KINDS | {
    "empty_200",
    "empty_204",
    "ok_200",
    "json_200",
    "cut_json_200",
    "reset_after",
    "never_after",
}
"""The faults of a request that was checked and accepted."""

_KINDS = sorted(ODD_RESPONSES.keys() | UNANSWERED_KINDS | {"drop", "redirect"})
_FAULT = re.compile(rf"[45][0-9]{{2}}(:[0-9]+)?|429_date:[0-9]+|(slow|late):[0-9]+(\.[0-9]+)?|{'|'.join(_KINDS)}")
_SHARE = re.compile(r"x[1-9][0-9]*|[0-9]*\.?[0-9]+")


@dataclass(frozen=True)
class Fault:
    """One way to answer badly; `seconds` is the delay of `slow` and `late`, and the Retry-After of an HTTP status."""

    kind: str
    seconds: float | None = None


@dataclass(frozen=True)
class FaultPlan:
    """
    The fault of each request.

    A draw depends only on the seed and the request's number, so concurrency does not change the plan.

    :param first: pairs of the last request number, counted from 1, and its fault.
    :param shares: pairs of the upper end of a draw from 0 to 1, and its fault; for the requests after `first`.
    """

    first: tuple[tuple[int, Fault], ...]
    shares: tuple[tuple[float, Fault], ...]
    seed: int

    @classmethod
    def parse(cls, spec: str, seed: int = 0) -> FaultPlan:
        """
        Read a SPEC, as the docstring of `server.py` defines it.

        :raises ValueError: it cannot be used; the message says why.
        """
        first: list[tuple[int, Fault]] = []
        shares: list[tuple[float, Fault]] = []
        last, total = 0, Fraction()
        for part in spec.split(",") if spec.strip() else ():
            what, _, share = part.strip().partition("@")
            if not _FAULT.fullmatch(what):
                hint = f"use 400 to 599 (:SECONDS is optional), {{429_date,slow,late}}:SECONDS, {_KINDS}"
                raise ValueError(f"fault {part!r}: {what!r} is no kind; {hint}")
            if not _SHARE.fullmatch(share):
                raise ValueError(f"fault {part!r}: {share!r} is no share; write {what}@0.1 or {what}@x3")
            kind, _, seconds = what.partition(":")
            fault = Fault(kind, float(seconds) if seconds else None)
            if share.startswith("x"):
                last += int(share[1:])
                first.append((last, fault))
            else:
                total += Fraction(share)
                shares.append((float(total), fault))
        if total > 1:
            raise ValueError(f"fault {spec!r}: the shares add up to {float(total)}; give at most 1")
        return cls(tuple(first), tuple(shares), seed)

    def draw(self, number: int) -> Fault | None:
        """Return the fault of request `number`, counted from 1, or None."""
        for last, fault in self.first:
            if number <= last:
                return fault
        roll = random.Random(f"{self.seed}:{number}").random()  # noqa: S311 - it has to be repeatable, not secret
        return next((fault for below, fault in self.shares if roll < below), None)
