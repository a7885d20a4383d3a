"""List the models worth having, of the workspace and all experiments; mark those that are not.

A model is on the front of accuracy against size if none is at least as accurate and smaller, or
smaller or equal and more accurate; likewise for accuracy against latency. The others are marked as
dominated. What stands in several experiments unchanged is listed once.

Accuracy is that on validation, since who chooses by the test split has none left to report; a
variant whose figures are older than that is left out. It has the noise of its images (about 0.8
points of 5,000), latency that of its run: near the front, ask `diff` before you decide. Latency of
another CPU than the workspace's is not compared, and says so. A workspace whose results are not of
the params, data and code that are here is refused, and the stage named.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slimline.commands import _over_experiments

if TYPE_CHECKING:
    from slimline.report.pareto_front import Point


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    _over_experiments.add_arguments(parser)


def run(arguments: Namespace) -> int:
    """Print the table, smallest file first."""
    from slimline import variants
    from slimline.errors import ArtifactError
    from slimline.report import number_formatting as fmt
    from slimline.report import pareto_front

    shown = _over_experiments.shown(arguments)
    found = pareto_front.points(shown, variants.read())
    others = pareto_front.of_others(shown)
    if others:
        told = f"{len(others)} left out, scored on other validation images: {', '.join(others)}"
        print(told, file=sys.stderr)
    if not found:
        raise ArtifactError("there are no figures yet; run `dvc repro`")
    timed = pareto_front.comparable(found)
    small = pareto_front.front(found, lambda point: point.size_kib)
    fast = pareto_front.front(timed, lambda point: point.p50_ms or 0)
    rows = [
        [
            fmt.cell(point.source),
            point.variant,
            fmt.percent(point.top1),
            fmt.kib(point.size_kib),
            fmt.milliseconds(point.p50_ms) if point.p50_ms else "not measured",
            "front" if point in small else "dominated",
            _latency_mark(point, timed, fast),
        ]
        for point in sorted(found, key=lambda point: (point.size_kib, -point.top1))
    ]
    header = ["from", "variant", "validation", "file", "p50", "accuracy/size", "accuracy/latency"]
    print(fmt.table(header, rows))
    return 0


def _latency_mark(point: Point, timed: Sequence[Point], fast: Sequence[Point]) -> str:
    if point.p50_ms is None:
        return "not measured"
    if point not in timed:
        return "another CPU"
    return "front" if point in fast else "dominated"
