"""What is known of each trial: a record in git, which is all that a study consists of.

`refs/slimline/search/<study>/<trial>` is a commit with `record.json`, on top of the trial's
experiment where it has one. Failed trials have records too. No database is needed to go on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from slimline.repository import refs
from slimline.search import space
from slimline.search.settings import SearchParams
from slimline.search.space import Settings

PREFIX = "refs/slimline/search/"

State: TypeAlias = Literal["complete", "stopped", "failed", "refused"]
"""`stopped`: pruned too badly to be quantized; `refused`: the schema does not allow it."""

_CODE = ("slimline", "stages", "own", "data", "dvc.yaml", "variants.yaml")
"""What makes results besides settings, by its tree in git."""


@dataclass(frozen=True)
class Record:
    """One trial, or one training of it with another seed."""

    study: str
    trial: str
    """Name of its settings, `space.name`."""
    number: int
    """In the order in which trials began."""
    settings: Settings
    state: State
    base: str
    """Commit whose experiment it is."""
    seed: int | None = None
    """Of a training that confirms; None for the trial itself, which has the file's."""
    reason: str = ""
    """Why there is no product: one sentence; empty where there is one."""
    experiment: str = ""
    """Name in `dvc exp show`; empty where the product was not reached."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """`top1` and `baseline_top1` (percent on validation), `images` (of validation), `size_kib`,
    `macs_m`, `int8_macs`, `latency_ms`, `pruned_top1`, as far as they are known."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of each stage that ran."""
    reused: Sequence[str] = ()
    """Stages that did not run, since nothing of them changed or the run cache had them."""
    total_seconds: float = 0.0
    worker: str = ""
    """Where it ran."""

    @property
    def ref(self) -> str:
        """Where it is kept."""
        return f"{PREFIX}{self.study}/{run_name(self.trial, self.seed)}"


def run_name(trial: str, seed: int | None = None) -> str:
    """Return what a trial, or a training of it with another seed, is called."""
    return trial if seed is None else f"{trial}-seed{seed}"


def study_name(search: SearchParams, written: Mapping[str, Any]) -> str:
    """Return the name of the study whose trials can be compared with one another.

    It is of the space, of all settings outside it and of code and data as they are committed; what
    the goal and its limits are, or how many trials there shall be, may change within a study.
    """
    plain = {key: value for key, value in written.items() if key not in {"search", "gates"}}
    settings = space.with_settings(plain, dict.fromkeys(search.space, "searched"))
    trees = [refs.git("ls-tree", "HEAD", path) for path in _CODE]
    searched = {key: each.model_dump(mode="json") for key, each in search.space.items()}
    text = json.dumps([searched, settings, trees], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def read(study: str) -> list[Record]:
    """Return all records of a study, in the order in which trials began."""
    found = [Record(**content) for content in refs.read(f"{PREFIX}{study}/").values()]
    return sorted(found, key=lambda each: (each.number, each.trial, each.seed or 0))


def write(record: Record, *, parent: str) -> None:
    """Keep a record, on top of its experiment's commit, or of the base where it has none."""
    refs.write(record.ref, asdict(record), parent=parent)


def fetch(remote: str, study: str) -> None:
    """Bring the records of all workers from a git remote."""
    refs.fetch(remote, f"{PREFIX}{study}/")
