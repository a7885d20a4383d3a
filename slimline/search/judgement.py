"""What a search makes of figures: which limits a trial misses and by how much, which is best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from slimline.files import DIGITS
from slimline.search.records import Record
from slimline.search.settings import LimitsParams, SearchParams

_CEILINGS = {
    "max_size_kib": "size_kib",
    "max_macs_m": "macs_m",
    "max_latency_ms": "latency_ms",
}
_FLOORS = {"min_top1": "top1", "min_int8_macs": "int8_macs"}

_NO_PRODUCT = 100.0
"""How far a trial without a product is called from every limit: further than any other."""


def drop(figures: Mapping[str, float], of: str = "top1") -> float:
    """Return percentage points of validation accuracy below the baseline."""
    return round(figures["baseline_top1"] - figures[of], DIGITS)


def misses(figures: Mapping[str, float], limits: LimitsParams) -> dict[str, float]:
    """Return by how much each limit is exceeded, negative where it is kept.

    Accuracy in percentage points, all else in percent of the limit.
    """
    found: dict[str, float] = {}
    given = {key: limit for key, limit in limits.model_dump().items() if limit is not None}
    for key, limit in given.items():
        if key == "max_top1_drop":
            found[key] = drop(figures) - limit
        elif key in _FLOORS:
            found[key] = limit - figures[_FLOORS[key]]
        elif key == "min_size_ratio":
            ratio = figures["baseline_size_kib"] / figures["size_kib"]
            found[key] = 100 * (limit / ratio - 1)
        else:
            found[key] = 100 * (figures[_CEILINGS[key]] / limit - 1)
    return {key: round(each, DIGITS) for key, each in found.items()}


def hopeless(figures: Mapping[str, float], search: SearchParams) -> str:
    """Say why a pruned model need not be quantized; nothing where it may keep the limits.

    Its time is what it will be: the table goes by widths, which nothing behind pruning changes.
    """
    if search.recovers is None:
        return ""
    limits, pruned = search.limits, figures["pruned_top1"]
    lost, slowest = drop(figures, "pruned_top1"), limits.max_latency_ms
    if slowest is not None and figures.get("latency_ms", 0) > slowest:
        return (
            f"pruned it takes {figures['latency_ms']:.4f} ms by the table, more than the "
            f"{slowest:g} ms allowed"
        )
    if limits.max_top1_drop is not None and lost > limits.max_top1_drop + search.recovers:
        return (
            f"pruned it is {lost:.2f} points below the baseline, more than the "
            f"{limits.max_top1_drop:g} allowed and the {search.recovers:g} that may be won back"
        )
    if limits.min_top1 is not None and pruned + search.recovers < limits.min_top1:
        return (
            f"pruned it has {pruned:.2f} %, less than the {limits.min_top1:g} % asked for without "
            f"the {search.recovers:g} points that may be won back"
        )
    return ""


def constraints(record: Record, search: SearchParams) -> dict[str, float]:
    """Return what a sampler is told of the limits: above 0 where one is missed."""
    if record.state == "complete":
        return misses(record.figures, search.limits)
    if record.state == "stopped":
        limits = search.limits
        found = {}
        if limits.max_top1_drop is not None:
            found["max_top1_drop"] = drop(record.figures, "pruned_top1") - limits.max_top1_drop
        if limits.min_top1 is not None:
            found["min_top1"] = limits.min_top1 - record.figures["pruned_top1"]
        if limits.max_latency_ms is not None and "latency_ms" in record.figures:
            by = record.figures["latency_ms"] / limits.max_latency_ms - 1
            found["max_latency_ms"] = 100 * by
        return found
    return {"no_product": _NO_PRODUCT}


def still_holds(record: Record, search: SearchParams) -> bool:
    """Whether a record says all that the limits, which may be others now, ask for."""
    if record.state == "stopped":
        return bool(hopeless(record.figures, search))
    if record.state == "complete" and search.needs_latency:
        return "latency_ms" in record.figures
    return True


def trials(found: Iterable[Record], search: SearchParams) -> list[Record]:
    """Return the records of trials alone, without what must be run anew."""
    return [each for each in found if each.seed is None and still_holds(each, search)]


def keeps(figures: Mapping[str, float], limits: LimitsParams) -> bool:
    """Whether no limit is missed."""
    return all(each <= 0 for each in misses(figures, limits).values())


def ranked(found: Iterable[Record], search: SearchParams) -> list[Record]:
    """Return the trials that keep all limits, best first; of equal ones the more accurate."""
    kept = [
        each
        for each in trials(found, search)
        if each.state == "complete" and keeps(each.figures, search.limits)
    ]
    return sorted(kept, key=lambda each: (each.figures[search.minimise], -each.figures["top1"]))


def why_none(found: Iterable[Record], search: SearchParams) -> str:
    """Say how far from the limits a study without a trial that keeps them has come."""
    known = trials(found, search)
    counts = {
        state: sum(each.state == state for each in known)
        for state in ("complete", "stopped", "failed", "refused")
    }
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    if not known:
        return "there are no trials yet; run `python -m slimline search`"
    by = [
        {key: each for key, each in misses(record.figures, search.limits).items() if each > 0}
        for record in known
        if record.state == "complete"
    ]
    if not by:
        reason = next(each.reason for each in known if each.reason)
        return f"no trial has a product ({told}); of the first it is said: {reason}"
    nearest = min(by, key=lambda each: sum(each.values()))
    missed = ", ".join(f"{key} by {each:g}" for key, each in nearest.items())
    return (
        f"no trial keeps the limits ({told}); the nearest misses {missed} (points, or percent of "
        "the limit): loosen limits, or widen search.space"
    )


@dataclass(frozen=True)
class Confirmation:
    """A trial trained again with other seeds."""

    trial: Record
    runs: Sequence[Record]

    @property
    def figures(self) -> dict[str, float]:
        """The mean of each figure over the other seeds alone: the trial itself was chosen."""
        keys = set.intersection(*(set(each.figures) for each in self.runs))
        return {key: mean(each.figures[key] for each in self.runs) for key in sorted(keys)}

    def keeps(self, search: SearchParams) -> bool:
        """Whether all seeds made a product, and limits are kept on average."""
        is_whole = all(each.state == "complete" for each in self.runs)
        return is_whole and keeps(self.figures, search.limits)


def confirmations(found: Sequence[Record], search: SearchParams) -> list[Confirmation]:
    """Return the trials that have all their other seeds, best first."""
    runs: dict[str, list[Record]] = {}
    for each in found:
        if each.seed is not None and still_holds(each, search):
            runs.setdefault(each.trial, []).append(each)
    return [
        Confirmation(trial, runs[trial.trial])
        for trial in ranked(found, search)
        if 0 < search.confirm.seeds <= len(runs.get(trial.trial, ()))
    ]


def confirmed(found: Sequence[Record], search: SearchParams) -> Confirmation | None:
    """Return the first in rank that keeps the limits with other seeds too, None without one."""
    return next((each for each in confirmations(found, search) if each.keeps(search)), None)
