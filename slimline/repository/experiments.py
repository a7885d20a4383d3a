"""Experiments and commits, as `dvc exp show` tells of them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimline.errors import ArtifactError

WORKSPACE = "workspace"
SEARCH = "search-"
"""How the trials of a search are named. None is timed: what their commits have of that is what the
commit had that the search began at."""


def show(*, all_commits: bool) -> list[dict[str, Any]]:
    """Return what `dvc exp show --json` prints.

    Raises:
        ArtifactError: DVC refused.
    """
    options = ["--all-commits"] if all_commits else []
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        raise ArtifactError(f"`dvc exp show` failed: {reason.removeprefix('ERROR: ')}")
    shown: list[dict[str, Any]] = json.loads(done.stdout)
    return shown


def revisions(shown: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield name and data of all that could be read; what failed or still runs has none."""
    for base in shown:
        if base.get("data"):
            yield _name(base), base["data"]
        for experiment in base.get("experiments") or []:
            for revision in experiment.get("revs") or []:
                if revision.get("data"):
                    yield _name(revision), revision["data"]


def commits(shown: Sequence[Mapping[str, Any]], figures: str) -> dict[str, str]:
    """Return the full hashes of the commits that experiments began at, by name.

    Those alone that have figures in a metric file.
    """
    bases = [each for each in shown if each.get("data") and each["rev"] != WORKSPACE]
    return {
        _name(base): base["rev"]
        for base in bases
        if content(base["data"].get("metrics") or {}, figures)
    }


def content(files: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Return what DVC read of a file, nothing where it could not."""
    found: Mapping[str, Any] = (files.get(path) or {}).get("data") or {}
    return found


def _name(revision: Mapping[str, Any]) -> str:
    rev: str = revision["rev"]
    return revision.get("name") or (rev if rev == WORKSPACE else rev[:7])
