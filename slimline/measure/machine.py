"""What the noisy figures were measured on: kept beside them, and never compared across."""

import os
from dataclasses import dataclass
from pathlib import Path

from slimline import processor

_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Load:
    """What else the machine did during a measurement."""

    before: float
    """Processes that wanted to run, on average of the minute before."""
    after: float
    """The same of the last minute; the measurement itself is one of them."""
    others: float | None
    """Percent of the time of all CPUs that went to others, hosts of virtual machines included;
    None where the system does not tell."""


@dataclass(frozen=True)
class Watch:
    """The state of the machine when a measurement began."""

    average: float
    times: tuple[float, float] | None

    def load(self) -> Load:
        """Return what happened since."""
        return Load(self.average, os.getloadavg()[0], self._others())

    def _others(self) -> float | None:
        now = _times()
        if self.times is None or now is None:
            return None
        others, total = (after - before for before, after in zip(self.times, now, strict=True))
        return 100 * min(1.0, max(0.0, others / total)) if total else 0.0


def watch() -> Watch:
    """Begin to watch what else the machine does."""
    return Watch(os.getloadavg()[0], _times())


def say_if_other(measured_on: str, table: str, command: str) -> None:
    """Print that a table of times is of another CPU than this one, if it is."""
    here = processor.cpu().model
    if here != measured_on:
        print(
            f"{table} was measured on {measured_on}, this is {here}: what goes by it is for the "
            f"former; `{command}` measures here"
        )


def name(model: str, flags: str) -> str:
    """Return a CPU and those of its features that matter to int8, as a person reads them."""
    return f"{model} ({flags or 'no int8 features known'})"


def _times() -> tuple[float, float] | None:
    """Return seconds of all CPUs since the start that others used, and all that there were.

    `man 5 proc`: user, nice, system, idle, iowait, irq, softirq, steal; what guests use is part of
    user. Ours are those of this process and of its children that have ended.
    """
    if not _STAT.is_file():
        return None
    head = _STAT.read_text(encoding="utf-8").split("\n", 1)[0]
    ticks = [float(each) for each in head.split()[1:9]]
    second = os.sysconf("SC_CLK_TCK")
    total, idle = sum(ticks) / second, (ticks[3] + ticks[4]) / second
    return total - idle - sum(os.times()[:4]), total
