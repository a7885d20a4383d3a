"""Say whether the product keeps the limits of section `gates`; exit 1 if it does not.

One line per gate: the verdict, the key in params.yaml, where the product stands with its bounds,
and the limit. The verdict is one of

  kept          the figure is within the limit
  within noise  the figure is not, but that may be chance, as surely as gates.confidence asks
  broken        the limit is exceeded, beyond chance
  not judged    there is nothing that it could be compared with; the line says why

Latency is compared with that of the base by the speedups that both commits have recorded, if the
CPU and the baseline are the same. They come from two separate runs, which differ by what the bounds
cannot show; --measure times both models in turns instead, here and now, and the line says so.

The figures are those under metrics/, so this is done after `dvc repro`, and is no stage of it: an
experiment that breaks a gate is recorded as well.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimline.core.revision import Revision
    from slimline.report.gates import Anew


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--base",
        metavar="REV",
        help="also judge the limits against this branch or commit, as origin/main",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="time the base's model and this one anew; needs DVC's cache or remote to have both",
    )


def run(arguments: Namespace) -> int:
    """Print a line per gate; return 1 if one is broken."""
    from slimline.core import params, revision
    from slimline.core.errors import ParamsError
    from slimline.core.revision import RevisionError
    from slimline.report import filters, gates, state

    if arguments.measure and not arguments.base:
        raise RevisionError("--measure compares with a base; name it by --base REV")
    settings = params.load("gates", gates.GatesParams)
    now = state.workspace()
    if now.stale_params:
        names = ", ".join(now.stale_params[:5])
        raise ParamsError(
            [f"params.yaml: {names}: changed since the figures were made; run `dvc repro`"]
        )
    base = None
    if arguments.base:
        found = revision.find(arguments.base)
        base = state.as_base(state.of(found, now), now)
        print(f"compared with {found}", file=sys.stderr)
        if arguments.measure:
            base = replace(base, anew=_measured_anew(found))
    judged = gates.judge(now.results, settings, base)
    for gate in judged:
        print(filters.gate_line(gate))
    if base is None:
        print("limits against the base branch are judged with --base REV", file=sys.stderr)
    return 0 if gates.are_kept(judged) else 1


def _measured_anew(base: Revision) -> Anew:
    from slimline.core import params
    from slimline.measure.latency import BenchmarkParams
    from slimline.report import anew

    return anew.measure(base, params.load("benchmark", BenchmarkParams))
