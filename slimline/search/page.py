"""What `metrics/search.html` says, as typed data; the template only arranges it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from slimline.measure import significance
from slimline.report import drawings, pareto_front, render
from slimline.report import number_formatting as fmt
from slimline.report.drawings import Drawing, Mark
from slimline.search import describe, judgement
from slimline.search.judgement import Confirmation
from slimline.search.records import Record
from slimline.search.trial import Bench

_POINTS = (0.25, 0.5, 1.0, 2.0)
_ALLOWED = 0.5
_KIB = (1000, 500, 250, 100, 50)
_NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class ReadyChoice:
    """A trial that answers a question, by what is asked."""

    name: str
    cells: Sequence[str]


@dataclass(frozen=True)
class ConfirmationRow:
    """A trial that was trained anew."""

    cells: Sequence[str]
    is_kept: bool


@dataclass(frozen=True)
class TrialRow:
    """A row of the table of all trials."""

    name: str
    settings: str
    verdict: str
    cells: Sequence[str]
    seconds: str
    is_kept: bool
    is_best: bool


@dataclass(frozen=True)
class Page:
    """All that the page says."""

    study: str
    goal: str
    """What is to be small, as tables call it."""
    lead: str
    effort: str
    """What the trials cost, and what they would have cost without the run cache."""
    choices: Sequence[ReadyChoice]
    confirmations: Sequence[ConfirmationRow]
    drawings: Sequence[Drawing]
    has_importances: bool
    has_latency: bool
    trials: Sequence[TrialRow]


@dataclass(frozen=True)
class TrialPoint:
    """A product of a trial, for the front."""

    record: Record
    top1: float


def content(bench: Bench, found: Sequence[Record], importances: Mapping[str, float]) -> Page:
    """Return the page of a study."""
    search = bench.search
    known = judgement.trials(found, search)
    made = [TrialPoint(each, each.figures["top1"]) for each in known if each.state == "complete"]
    ranked = judgement.ranked(known, search)
    confirmed = judgement.confirmed(found, search)
    best = confirmed.trial if confirmed else ranked[0] if ranked else None
    shown = [
        _front(made, best, "size_kib", "Accuracy against size", "KiB of the file", bench),
        _front(made, best, "macs_m", "Accuracy against MACs", "MACs, millions", bench),
    ]
    if search.needs_latency:
        label = "ms per image by the table"
        shown.append(_front(made, best, "latency_ms", "Accuracy against time", label, bench))
    pictures = [each for each in shown if each is not None]
    if importances:
        title = f"What decides {search.minimise}"
        pictures.append(drawings.shares(importances, title=title, label="% of importance"))
    return Page(
        study=bench.study,
        goal=describe.GOALS[search.minimise],
        lead=_lead(confirmed, best, bench, found),
        effort=effort(found),
        choices=list(_choices(made)),
        confirmations=[
            ConfirmationRow(_confirmation_cells(each, bench), each.keeps(search))
            for each in judgement.confirmations(found, search)
        ],
        drawings=pictures,
        has_importances=bool(importances),
        has_latency=search.needs_latency,
        trials=[_row(each, best, bench) for each in known],
    )


def render_page(page: Page) -> str:
    """Return the HTML."""
    return render.search(page=page)


def effort(found: Sequence[Record]) -> str:
    """Say what the runs cost by the clock, and what they would have cost without reuse.

    A stage that was reused is counted at the mean of the times that it ran in this study; one that
    never did is named, since it is in neither sum.
    """
    ran: dict[str, list[float]] = {}
    for record in found:
        for stage, seconds in record.seconds.items():
            ran.setdefault(stage, []).append(seconds)
    spent = sum(each.total_seconds for each in found)
    reused = [stage for each in found for stage in each.reused]
    saved = sum(mean(ran[stage]) for stage in reused if stage in ran)
    unknown = sorted({stage for stage in reused if stage not in ran})
    told = (
        f"{len(found)} runs took {spent / 3600:.2f} h; without what they reused of each other they "
        f"would have taken {(spent + saved) / 3600:.2f} h"
    )
    left_out = f", not counting {', '.join(unknown)}, never run here" if unknown else ""
    return f"{told}{left_out}."


def _lead(
    confirmed: Confirmation | None, best: Record | None, bench: Bench, found: Sequence[Record]
) -> str:
    search = bench.search
    if best is None:
        return f"{judgement.why_none(found, search)}."
    if confirmed is None:
        return (
            f"The best of {len(judgement.trials(found, search))} trials is {best.trial}: "
            f"{describe.outcome(best, search)}. It is not confirmed with other seeds yet."
        )
    figures = confirmed.figures
    return (
        f"The best is {best.trial}: over {len(confirmed.runs)} other seeds "
        f"{describe.goal(figures, search)} and {fmt.points(-judgement.drop(figures))} points on "
        "validation against the baseline."
    )


def _front(
    made: Sequence[TrialPoint],
    best: Record | None,
    figure: str,
    title: str,
    label: str,
    bench: Bench,
) -> Drawing | None:
    """Return accuracy against a figure; None where no trial has it."""
    there = [each for each in made if each.record.figures.get(figure)]
    if not there:
        return None

    def price(point: TrialPoint) -> float:
        return point.record.figures[figure]

    edge = pareto_front.front(there, price)
    marks = [
        Mark(
            price(each),
            each.top1,
            *_interval(each.record),
            is_front=each in edge,
            is_chosen=best is not None and each.record.trial == best.trial,
        )
        for each in there
    ]
    limits = bench.search.limits
    floors = [limits.min_top1] if limits.min_top1 is not None else []
    if limits.max_top1_drop is not None:
        floors.append(there[0].record.figures["baseline_top1"] - limits.max_top1_drop)
    label = f"{label}, logarithmic"
    return drawings.many(marks, max(floors) if floors else None, title=title, label=label)


def _choices(made: Sequence[TrialPoint]) -> list[ReadyChoice]:
    """Return the best trial for each common question that a trial answers."""
    is_timed = all("latency_ms" in each.record.figures for each in made)
    found = [
        _choice(f"smallest within {points:g} points", _within(made, points), "size_kib")
        for points in _POINTS
    ]
    for kib in _KIB:
        fit = [each for each in made if each.record.figures["size_kib"] <= kib]
        if len(fit) < len(made):
            near = _within(fit, _ALLOWED)
            last = f"up to {kib:,} KiB within {_ALLOWED:g} points"
            found += [
                _choice(f"most accurate up to {kib:,} KiB", fit, ""),
                _choice(f"fastest {last}", near, "latency_ms")
                if is_timed
                else _choice(f"fewest MACs {last}", near, "macs_m"),
            ]
    return [each for each in found if each is not None]


def _choice(name: str, fit: Sequence[TrialPoint], figure: str) -> ReadyChoice | None:
    """Return the trial with least of a figure, the more accurate of equal ones."""
    if not fit:
        return None
    ranked = sorted(fit, key=lambda e: (e.record.figures[figure] if figure else 0.0, -e.top1))
    return ReadyChoice(name, [ranked[0].record.trial, *_cells(ranked[0].record)])


def _within(made: Sequence[TrialPoint], points: float) -> list[TrialPoint]:
    return [each for each in made if judgement.drop(each.record.figures) <= points]


def _row(record: Record, best: Record | None, bench: Bench) -> TrialRow:
    search = bench.search
    is_kept = record.state == "complete" and judgement.keeps(record.figures, search.limits)
    return TrialRow(
        record.trial,
        describe.settings(record.settings),
        describe.verdict(record, search),
        _cells(record),
        f"{record.total_seconds:.0f}",
        is_kept=is_kept,
        is_best=best is not None and record.trial == best.trial,
    )


def _cells(record: Record) -> list[str]:
    """Return validation accuracy, its interval, points against the baseline, size, MACs, time."""
    figures = record.figures
    if record.state != "complete":
        return [*[_NOTHING] * 5, ""]
    return [
        fmt.percent(figures["top1"]),
        fmt.percents(*_interval(record)),
        fmt.points(-judgement.drop(figures)),
        fmt.kib(figures["size_kib"]),
        fmt.millions(figures["macs_m"]),
        fmt.milliseconds(figures["latency_ms"]) if "latency_ms" in figures else "",
    ]


def _confirmation_cells(each: Confirmation, bench: Bench) -> list[str]:
    seeds = ", ".join(str(run.seed) for run in each.runs)
    if any(run.state != "complete" for run in each.runs):
        return [each.trial.trial, seeds, _NOTHING, _NOTHING, _NOTHING]
    return [
        each.trial.trial,
        seeds,
        describe.goal(each.figures, bench.search),
        fmt.points(-judgement.drop(each.figures)),
        fmt.points(-judgement.drop(each.trial.figures)),
    ]


def _interval(record: Record) -> tuple[float, float]:
    """Return the bounds of validation accuracy, percent, 95 % together."""
    count = int(record.figures["images"])
    hits = round(record.figures["top1"] / 100 * count)
    low, high = significance.wilson(hits, count, significance.SURE_95)
    return 100 * low, 100 * high
