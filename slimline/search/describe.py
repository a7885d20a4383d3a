"""Trials as a person reads them: plain functions from records to text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slimline.report import number_formatting as fmt
from slimline.search import judgement
from slimline.search.judgement import Confirmation
from slimline.search.records import Record
from slimline.search.settings import Goal, SearchParams
from slimline.search.space import Settings

_FORMS: Mapping[Goal, Callable[[float], str]] = {
    "size_kib": fmt.kib,
    "macs_m": fmt.millions,
    "latency_ms": fmt.milliseconds,
}


GOALS: Mapping[Goal, str] = {
    "size_kib": "file",
    "macs_m": "MACs",
    "latency_ms": "time by the table",
}
"""What tables call a goal."""


def settings(given: Settings) -> str:
    """Return values by key: `prune.threshold 0.4, prune.steps 2`."""
    shown = {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in given.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def goal(figures: Mapping[str, float], search: SearchParams) -> str:
    """Return what is to be small, with its unit."""
    return _FORMS[search.minimise](figures[search.minimise])


def verdict(record: Record, search: SearchParams) -> str:
    """Return whether a trial keeps the limits, or why it has no product."""
    if record.state != "complete":
        return f"{record.state}: {record.reason}"
    missed = [key for key, by in judgement.misses(record.figures, search.limits).items() if by > 0]
    return f"misses {', '.join(missed)}" if missed else "keeps the limits"


def outcome(record: Record, search: SearchParams) -> str:
    """Return a trial's figures and the verdict on them."""
    if record.state != "complete":
        return verdict(record, search)
    lost = fmt.points(-judgement.drop(record.figures))
    return (
        f"{goal(record.figures, search)}, {lost} points against the baseline, "
        f"{verdict(record, search)}"
    )


def confirmation(whole: Confirmation, search: SearchParams) -> str:
    """Return what other seeds made of a trial."""
    failed = [each for each in whole.runs if each.state != "complete"]
    if failed:
        return f"not confirmed: seed {failed[0].seed} {failed[0].state}: {failed[0].reason}"
    figures = whole.figures
    return (
        f"{'confirmed' if whole.keeps(search) else 'not confirmed'}: over {len(whole.runs)} other "
        f"seeds {goal(figures, search)} and {fmt.points(-judgement.drop(figures))} points on "
        "validation against the baseline; the trial itself had "
        f"{fmt.points(-judgement.drop(whole.trial.figures))}"
    )


def tested(top1: Sequence[tuple[float, float]]) -> str:
    """Return test accuracy of each seed, product and baseline given."""
    shown = ", ".join(
        f"{fmt.percent(product)} ({fmt.points(product - baseline)} points)"
        for product, baseline in top1
    )
    return f"on the test split, which chose nothing, against the baseline of each seed: {shown}"
