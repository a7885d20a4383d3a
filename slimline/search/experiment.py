"""One trial as a DVC experiment: run up to the stages that are needed, read by git.

It runs in a temporary folder (`dvc exp run --temp`), so the workspace stays as it is. What is read
of it are figures on validation; `evaluate` writes those of the test split beside them, at which
nothing here looks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimline.errors import SlimlineError
from slimline.repository import experiments, refs
from slimline.search.settings import Value
from slimline.search.space import Settings
from slimline.variants import Variants

LOGS = Path(".dvc/tmp/slimline-search")
"""What DVC and the stages printed, a file for each trial."""

_EXPERIMENTS = "refs/exps/"
_RUNS, _FOLDERS = Path(".dvc/tmp/exps/run"), Path(".dvc/tmp/exps/standalone")
"""Where DVC says what it runs in a temporary folder, and those folders."""

_BEGINS = re.compile(r"Running stage '(?P<stage>.+)':")
_SKIPPED = re.compile(
    r"(?:Stage )?'(?P<stage>.+)' (?:didn't change, skipping|is cached - skipping)"
)
_FAILED = re.compile(r"failed to reproduce '(?P<stage>[^']+)'")
_EXIT = re.compile(r"exited with (?P<code>-?\d+)")
_OF_ITS_OWN = {"1", "2"}
"""Exit codes of a stage that refused or crashed; any other is of the machine: killed, no memory."""


class ExperimentError(SlimlineError):
    """An experiment could not be run, for a reason that is not of its settings."""


class StageError(SlimlineError):
    """A stage ended in an error that these settings led to; the sentence is its own."""


@dataclass
class Ran:
    """What `dvc exp run` did."""

    commit: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each stage that ran."""
    reused: list[str] = field(default_factory=list)
    """Stages that did not run."""

    def add(self, later: Ran) -> None:
        """Take in a second run of the same experiment, which went further."""
        self.commit = later.commit
        self.seconds |= {k: v for k, v in later.seconds.items() if k not in self.seconds}
        self.reused += [each for each in later.reused if each not in (*self.reused, *self.seconds)]


def run(
    name: str,
    settings: Settings,
    written: Mapping[str, Any],
    targets: Sequence[str],
    *,
    is_pulling: bool = False,
) -> Ran:
    """Run an experiment of HEAD up to some stages; return its commit and what ran.

    Raises:
        StageError: a stage refused these settings, or crashed.
        ExperimentError: DVC is busy or failed itself, or a stage was killed.
    """
    forget(name)
    changes = [
        part for key, value in settings.items() for part in ("-S", _change(key, value, written))
    ]
    pull = ["--pull"] if is_pulling else []
    command = [sys.executable, "-m", "slimline.search.dvc_child", "exp", "run", "--temp"]
    command += ["--name", name, *pull, *changes, *targets]
    LOGS.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    ran, running, began = Ran(), "", time.monotonic()
    path = LOGS / f"{name}.log"
    with (
        path.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            log.flush()
            lines = [*lines[-50:], line.rstrip()]
            begins, skipped = _BEGINS.match(line), _SKIPPED.match(line)
            if running and (begins or skipped or line.startswith("Ran experiment")):
                ran.seconds[running] = round(time.monotonic() - began, 2)
                running = ""
            if begins:
                running, began = begins["stage"], time.monotonic()
            elif skipped:
                ran.reused.append(skipped["stage"])
    commit = find(name)
    if process.returncode or commit is None:
        raise _told(lines, running, path)
    ran.commit = commit
    return ran


def clear_dead() -> None:
    """Remove the temporary folders of trials that were killed: each has a copy of the data.

    For whoever holds the clone: of its own search no other experiment can be running then.
    """
    folders = _FOLDERS.resolve()
    for path in _RUNS.glob("*/*.run"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            continue  # Killed while DVC wrote it: whose it was is not known.
        folder = Path(content["root_dir"])
        if str(content["name"]).startswith(experiments.SEARCH) and folder.parent == folders:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(path.parent, ignore_errors=True)


def find(name: str) -> str | None:
    """Return the commit of an experiment, None where there is none."""
    found = {ref: each for ref, each in refs.commits(_EXPERIMENTS).items() if _is(ref, name)}
    return next(iter(found.values()), None)


def forget(name: str) -> None:
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
        "images": float(described["parity"]["images"]),
    }


def pruned_figures(commit: str, variants: Variants) -> dict[str, float]:
    """Return what is known once the model that is quantized is there, of no test image."""
    parent = described_model(commit, variants[variants.product].parent)
    baseline = described_model(commit, variants.baseline)
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


def _environment() -> dict[str, str]:
    """Return ours, with the Python that runs this one first on the path: stages call `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"}


def _told(lines: Sequence[str], running: str, log: Path) -> SlimlineError:
    """Return the error that DVC's last lines tell of."""
    failed = next((at for at, line in enumerate(lines) if _FAILED.search(line)), None)
    told = [line for line in lines[: failed if failed is not None else None] if line.strip()]
    if failed is None:
        reason = told[-1].removeprefix("ERROR: ") if told else "it said nothing"
        return ExperimentError(f"`dvc exp run` failed: {reason} (all that it said: {log})")
    code = _EXIT.search(lines[failed])
    stage = _FAILED.search(lines[failed])
    assert stage is not None
    if code is None or code["code"] not in _OF_ITS_OWN:
        return ExperimentError(
            f"stage {running or stage['stage']} was killed or could not be run: "
            f"{lines[failed].removeprefix('ERROR: ')} (all that it said: {log})"
        )
    return StageError(f"{stage['stage']}: {told[-1] if told else 'it said nothing'}")
