"""One trial as a DVC experiment: run up to the stages that are needed, read by git.

What is read of it are figures on validation; `evaluate` writes those of the test split beside them,
at which nothing here looks.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from slimline import files
from slimline.errors import SlimlineError
from slimline.repository import refs
from slimline.search import own_clone
from slimline.search.settings import Value
from slimline.search.space import Settings
from slimline.variants import Variants

LOGS = Path(".dvc/tmp/slimline-search")
"""What DVC and the stages printed, a file for each trial."""

_EXPERIMENTS = "refs/exps/"

_BEGINS = re.compile(r"Running stage '(?P<stage>.+)':")
_SKIPPED = re.compile(
    r"(?:Stage )?'(?P<stage>.+)' (?:didn't change, skipping|is cached - skipping)"
)
_PULLED = re.compile(r"Pulling data for stage: '(?P<stage>.+)'$")
_FAILED = re.compile(r"failed to reproduce '(?P<stage>[^']+)'")
_ENDS = "Ran experiment"
_EXIT = re.compile(r"exited with (?P<code>-?\d+)")
_OF_ITS_OWN = {"1", "2"}
"""Exit codes of a stage that refused or crashed; any other is of the machine: killed, no memory."""


class ExperimentError(SlimlineError):
    """An experiment could not be run, for a reason that is not of its settings."""


class StageKilledError(ExperimentError):
    """A stage was killed, as where memory ran out."""


Described: TypeAlias = Callable[[str], Mapping[str, Any]]
"""A model's `model.json`, by its variant."""


@dataclass
class Ran:
    """What `dvc exp run` did."""

    commit: str = ""
    """Of the experiment; nothing where it did not come to its end."""
    stopped: str = ""
    """Why it was stopped on the way."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each stage that ran."""
    reused: list[str] = field(default_factory=list)
    """Stages that did not run."""


class StageError(SlimlineError):
    """A stage ended in an error that these settings led to; the sentence is its own."""

    def __init__(self, sentence: str, ran: Ran) -> None:
        """Keep what had run before."""
        super().__init__(sentence)
        self.ran = ran


@dataclass(frozen=True)
class Check:
    """What is looked at on the way, so that no more is run than is worth it."""

    stage: str
    """Behind which one looks."""
    why_not: Callable[[Described], str]
    """Says why the rest need not run; nothing where it may be worth it."""


def run(
    name: str,
    settings: Settings,
    written: Mapping[str, Any],
    targets: Sequence[str],
    base: str,
    *,
    check: Check | None = None,
    is_pulling: bool = False,
) -> Ran:
    """Run an experiment of a commit up to some stages; return its own commit and what ran.

    What `check` stops leaves no experiment, and its stages in the run cache.

    Raises:
        StageError: a stage refused these settings, or crashed.
        StageKilledError: a stage was killed.
        ExperimentError: DVC failed itself.
    """
    _forget(name)
    own_clone.reset(base)
    changes = [
        part for key, value in settings.items() for part in ("-S", _change(key, value, written))
    ]
    pull = ["--pull"] if is_pulling else []
    command = [sys.executable, "-m", "slimline.search.dvc_child", str(os.getpid()), "exp", "run"]
    command += ["--name", name, *pull, *changes, *targets]
    LOGS.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    told, path = _Told(), LOGS / f"{name}.log"
    with path.open("a", encoding="utf-8") as log, _child(command) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            log.flush()
            lines = [*lines[-50:], line.rstrip()]
            done = told.read(line)
            if check is not None and done == check.stage:
                told.ran.stopped = check.why_not(_described)
            if told.ran.stopped:
                return told.ran
        process.wait()
    commit = own_clone.bring(name)
    if process.returncode or commit is None:
        raise _error(lines, told, path)
    told.ran.commit = commit
    return told.ran


def find(name: str) -> str | None:
    """Return the commit of an experiment, None where there is none."""
    found = {ref: each for ref, each in refs.commits(_EXPERIMENTS).items() if _is(ref, name)}
    return next(iter(found.values()), None)


def _forget(name: str) -> None:
    """Remove an experiment from `dvc exp show`; its record may still hold its commit."""
    for ref in refs.commits(_EXPERIMENTS):
        if _is(ref, name):
            refs.delete(ref)


def product_figures(commit: str, variants: Variants) -> dict[str, float]:
    """Return the figures of the product and of its baseline, as `evaluate` wrote them."""
    product = _evaluated(commit, variants.product)
    baseline = _evaluated(commit, variants.baseline)
    described = described_model(commit, variants.product)
    found = {key: float(product[key]) for key in ("size_kib", "macs_m", "int8_macs")}
    return found | {
        "top1": float(product["validation_top1"]),
        "baseline_top1": float(baseline["validation_top1"]),
        "baseline_size_kib": float(baseline["size_kib"]),
        "images": float(described["parity"]["images"]),
    }


def pruned_figures(described: Described, variants: Variants) -> dict[str, float]:
    """Return what is known once the model that is quantized is there, of no test image."""
    parent = described(variants[variants.product].parent)
    baseline = described(variants.baseline)
    return {
        "pruned_top1": float(parent["validation_top1"]),
        "baseline_top1": float(baseline["validation_top1"]),
    }


def test_top1(commit: str, variants: Variants) -> tuple[float, float]:
    """Return percent of the test images, product and baseline: for what is confirmed alone."""
    product, baseline = variants.product, variants.baseline
    return float(_evaluated(commit, product)["top1"]), float(_evaluated(commit, baseline)["top1"])


def described_model(commit: str, variant: str) -> dict[str, Any]:
    """Return the `model.json` of an experiment's model, from DVC's cache."""
    import dvc.api

    text = dvc.api.read(f"models/{variant}/model.json", repo=".", rev=commit)
    content: dict[str, Any] = json.loads(text)
    return content


def _evaluated(commit: str, variant: str) -> dict[str, Any]:
    text = refs.file_at(commit, f"metrics/evaluate/{variant}.json")
    assert text is not None, f"{commit} has no figures of {variant}"
    content: dict[str, Any] = json.loads(text)
    return content


@dataclass
class _Told:
    """What DVC's lines tell of a run."""

    ran: Ran = field(default_factory=Ran)
    stage: str = ""
    """What the latest of them was of."""
    is_running: bool = False
    began: float = 0.0

    def read(self, line: str) -> str:
        """Take in a line; return the stage that is done by it, nothing where none is."""
        begins, skipped = _BEGINS.match(line), _SKIPPED.match(line) or _PULLED.match(line)
        if not (begins or skipped or line.startswith(_ENDS)):
            return ""
        this = begins or skipped
        if this and this["stage"] == self.stage:
            # It could not be pulled, and runs, or comes from the run cache.
            self.is_running, self.began = begins is not None, time.monotonic()
            return ""
        done = self.stage
        if self.is_running:
            self.ran.seconds[done] = round(time.monotonic() - self.began, 2)
        elif done:
            self.ran.reused.append(done)
        self.is_running, self.began = begins is not None, time.monotonic()
        self.stage = this["stage"] if this else ""
        return done


def _described(variant: str) -> dict[str, Any]:
    """Return the `model.json` of a model of the experiment that is running."""
    return files.read_json(own_clone.project() / "models" / variant / "model.json")


def _is(ref: str, name: str) -> bool:
    return ref.rpartition("/")[2] == name


def _change(key: str, value: Value, written: Mapping[str, Any]) -> str:
    """Return a value as `-S` takes it; a key that the file does not have wants a plus."""
    content: Any = written
    for part in key.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    return f"{'+' if content is None else ''}{key}={_quoted(value)}"


def _quoted(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(_quoted(each) for each in value)}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return repr(value)


@contextmanager
def _child(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Give a process whose lines are read; if it is left before it has ended, nothing of it stays.

    It is of a group of its own, so that its stage is killed with it, on macOS too.
    """
    with subprocess.Popen(
        command,
        cwd=own_clone.project(),
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            # Where it was killed itself, its stage may live on; where all is over, no group is.
            if process.returncode != 0:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Return ours, with the Python that runs this one first on the path: stages call `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"}


def _error(lines: Sequence[str], told: _Told, log: Path) -> SlimlineError:
    """Return the error that DVC's last lines tell of."""
    failed = next((at for at, line in enumerate(lines) if _FAILED.search(line)), None)
    said = [line for line in lines[: failed if failed is not None else None] if line.strip()]
    last = said[-1].removeprefix("ERROR: ") if said else "it said nothing"
    if failed is None:
        return ExperimentError(f"`dvc exp run` failed: {last} (all that it said: {log})")
    code = _EXIT.search(lines[failed])
    stage = _FAILED.search(lines[failed])
    assert stage is not None
    told_all = f"{lines[failed].removeprefix('ERROR: ')} (all that it said: {log})"
    if code is None:
        return ExperimentError(f"stage {stage['stage']} could not be run: {told_all}")
    if code["code"] not in _OF_ITS_OWN:
        return StageKilledError(f"stage {stage['stage']} was killed: {told_all}")
    return StageError(f"{stage['stage']}: {last}", told.ran)
