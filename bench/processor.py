"""Processor time of the whole machine, which does nothing but the benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class ProcessorTime:
    """
    What the processors have done since the machine started, in seconds.

    :param busy: working for processes of this machine, the kernel's work for them included.
    :param stolen: taken by the hypervisor for others.
    :param total: all of it, idle time included.
    """

    busy: float
    stolen: float
    total: float

    @classmethod
    def now(cls) -> ProcessorTime:
        """Read the kernel's counters."""
        times = psutil.cpu_times()
        # The time of guests is part of user's.
        total = sum(times) - times.guest - times.guest_nice
        return cls(total - times.idle - times.iowait - times.steal, times.steal, total)

    def since(self, earlier: ProcessorTime) -> ProcessorTime:
        """Return what was done since an earlier reading."""
        return ProcessorTime(self.busy - earlier.busy, self.stolen - earlier.stolen, self.total - earlier.total)
