"""What commands that look at all experiments have in common; is none itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare which experiments are looked at."""
    parser.add_argument(
        "--all-commits",
        action="store_true",
        help="experiments of all commits, not of the current one alone",
    )


def shown(arguments: Namespace) -> list[dict[str, Any]]:
    """Return what `dvc exp show --json` prints of them; say what of the workspace is stale.

    Raises:
        StaleError: stages of the workspace ran with other params, data or code than are here.
    """
    from pathlib import Path

    from slimline.repository import dvc_files, experiments, staleness

    for note in staleness.check(Path(), dvc_files.read_lock(Path())):
        print(note, file=sys.stderr)
    return experiments.show(all_commits=arguments.all_commits)
