"""Say whether the product keeps the limits of section `gates`; exit 1 if it does not.

One line per gate: the verdict, the key in params.yaml, where the product stands with its bounds,
and the limit. The verdict is one of

  kept          the figure is within the limit; with gates.burden: prove, beyond chance
  within noise  the figure is not, but that may be chance, at the confidence of gates.confidence
  not proven    gates.burden is prove, and chance could hide that the limit is exceeded; exit 1
  broken        the limit is exceeded, beyond chance; exit 1
  not judged    there is nothing that it could be compared with; the line says why; exit 1 by
                --strict, as in CI

Where no limit is switched on nothing is judged, and that is said; exit 1 by --strict as well.

With --base, the limits of that commit hold where they are stricter, and what this branch would
loosen stands first.

Latency is compared with that of the base by timing both models anew, in turns, here and now, where
the model is in the working tree and DVC's cache or remote has the base's; that takes some seconds.
Else, and with --no-measure, by the speedups that both commits have recorded, if the CPU and the
baseline are the same: these come from two separate runs, which may differ by more than the bounds
show. Figures of different CPUs are never compared. The line of the gate says which way it went, and
why.

The figures are those under metrics/, so this is done after `dvc repro`, and is no stage of it: an
experiment that breaks a gate is recorded as well. Where a stage ran with other params, data or code
than those that are here, as after a `dvc repro` that died half way, nothing is judged: exit 2, and
the stage is named. Where params were merged into the base without a run, its figures, of the params
before, are what is compared with, and that is said.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--base",
        metavar="REV",
        help="also judge the limits against this branch or commit, as origin/main",
    )
    parser.add_argument(
        "--no-measure",
        action="store_true",
        help="do not time the base's model and this one anew; compare what was recorded",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit 1 as well where a gate cannot be judged, or where no limit is switched on",
    )


def run(arguments: Namespace) -> int:
    """Print a line per gate; return 1 if one has failed."""
    from slimline import params
    from slimline.report import base_commit, gates, limits
    from slimline.report import number_formatting as fmt
    from slimline.repository import commit_results, revision

    settings = params.load("gates", gates.GatesParams)
    now = commit_results.workspace()
    for note in now.notes:
        print(note, file=sys.stderr)
    against = None
    if arguments.base is not None:
        found = revision.find(arguments.base)
        print(f"compared with {found}", file=sys.stderr)
        then = commit_results.of(found, now)
        for note in then.notes:
            print(f"its figures are not of what it holds: {note}", file=sys.stderr)
        held = limits.hold(settings, then.params)
        settings = held.settings
        for each in held.loosened:
            print(fmt.loosened_line(each))
        is_timed = settings.max_slowdown is not None and not arguments.no_measure
        against = base_commit.timed(then, found, now, is_wanted=is_timed)
    judged = gates.judge(now.results, settings, against)
    for gate in judged:
        print(fmt.gate_line(gate))
    if not judged:
        why = "those that are switched on need --base REV" if settings.limits else "all are none"
        print(f"nothing is judged by the limits of section gates: {why}", file=sys.stderr)
    if against is None:
        print("limits against the base branch are judged with --base REV", file=sys.stderr)
    return 0 if gates.are_kept(judged, is_strict=arguments.strict) else 1
