"""Whoever watches is told how a training goes, and changes nothing of it."""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy
from training import test_checkpoints

from slimline.errors import ParamsError
from slimline.training import checkpoints, progress, watching
from stages import validate_params

_WRITER = """
import json, pathlib, sys
class Writer:
    def __init__(self, folder):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        self.file = open(pathlib.Path(folder) / "events.jsonl", "a")
    def add_scalar(self, name, value, step):
        {what}
        self.file.write(json.dumps([name, value, step]) + "\\n")
    def flush(self): self.file.flush()
    def close(self): self.file.write("closed\\n"); self.file.close()
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put something in the place of TensorBoard's package, which writes what it is given."""

    def install(what: str = "pass") -> Path:
        package = tmp_path / "packages" / "tensorboard"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "summary.py").write_text(_WRITER.format(what=what))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), str(toy.ROOT)]))
        monkeypatch.syspath_prepend(str(package.parent))
        monkeypatch.delitem(sys.modules, "tensorboard", raising=False)
        monkeypatch.chdir(tmp_path)
        return tmp_path / "live" / "tensorboard" / "test" / "events.jsonl"

    return install


def train(folder: Path, watchers: list[str], **more: Any) -> str:
    with watching.watching("test", watchers):
        model, _ = test_checkpoints.fit(folder, **more)
    return checkpoints.digest(model.state_dict())


def told(path: Path) -> list[tuple[str, float, int]]:
    *lines, last = path.read_text().splitlines()
    assert last == "closed"
    return [tuple(json.loads(line)) for line in lines]


def test_a_training_that_is_watched_has_the_same_bytes(
    tmp_path: Path, tool: Callable[[str], Path]
) -> None:
    path = tool("pass")
    alone = train(tmp_path / "alone", [])
    assert not path.exists()
    assert train(tmp_path / "watched", ["tensorboard"]) == alone
    found = told(path)
    validated = [step for name, _, step in found if name == "test/validation_top1"]
    assert validated == [4, 8, 12]
    assert {name for name, _, step in found if step == 12} == {
        f"test/{each}"
        for each in ("loss", "learning_rate", "images_per_s", "validation_loss",
                     "validation_top1", "validation_mean_recall")
    }  # fmt: skip


def test_of_one_that_was_interrupted_the_curve_goes_on(
    tmp_path: Path, tool: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0)
    path = tool("pass")
    with pytest.raises(test_checkpoints.KilledError):
        train(tmp_path / "parts", ["tensorboard"], stop_after=6)
    before = told(path)
    (path.parent / "events.old").write_text("of the first part")
    train(tmp_path / "parts", ["tensorboard"])
    assert (path.parent / "events.old").exists()
    steps = [step for name, _, step in before if name == "test/loss"]
    assert steps == [1, 2, 3, 4, 5]
    train(tmp_path / "anew", ["tensorboard"])
    assert not (path.parent / "events.old").exists()


def test_a_step_that_is_made_again_is_shown_once(
    tmp_path: Path, tool: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0)
    path = tool("pass")
    with pytest.raises(test_checkpoints.KilledError):
        train(tmp_path / "parts", ["tensorboard"], stop_after=6)
    sorted((tmp_path / "parts").rglob("*.safetensors"))[-1].unlink()  # the last known is step 4
    train(tmp_path / "parts", ["tensorboard"])
    shown = [json.loads(line) for line in path.read_text().splitlines() if line != "closed"]
    assert [step for name, _, step in shown if name == "test/loss"] == list(range(1, 13))
    train(tmp_path / "anew", ["tensorboard"])
    shown = [json.loads(line) for line in path.read_text().splitlines() if line != "closed"]
    assert [step for name, _, step in shown if name == "test/loss"] == list(range(1, 13))


def test_a_run_that_is_done_hides_no_step_of_another(
    tmp_path: Path, tool: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nobody watched, until it was interrupted."""
    monkeypatch.setattr(progress, "_SECONDS", 0)
    path = tool("pass")
    train(tmp_path / "whole", ["tensorboard"])
    with pytest.raises(test_checkpoints.KilledError):
        train(tmp_path / "parts", [], stop_after=6)
    path.unlink()
    train(tmp_path / "parts", ["tensorboard"])
    shown = [json.loads(line) for line in path.read_text().splitlines() if line != "closed"]
    assert [step for name, _, step in shown if name == "test/loss"][-6:] == list(range(7, 13))
    assert not list((tmp_path / "live").glob(".*.json"))


def test_one_that_dies_is_told_of_and_training_goes_on(
    tool: Callable[[str], Path],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0)
    tool("raise OSError('no server')")
    with watching.watching("test", ["tensorboard"]):
        watching.tell("test", 1, {"loss": 1.0})
        deadline = time.monotonic() + 30
        while watching._feeds[0]._is_open and time.monotonic() < deadline:
            watching.tell("test", 2, {"loss": 1.0})
            time.sleep(0.05)
    seen = capfd.readouterr()
    assert "tensorboard has ended, for the reason above; training goes on without it" in seen.out
    assert "no server" in seen.err


def test_one_that_is_slow_makes_nobody_wait(
    tool: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    tool("__import__('time').sleep(600)")
    begun = time.monotonic()
    with pytest.MonkeyPatch.context() as patched, watching.watching("test", ["tensorboard"]):
        patched.setattr(watching, "_LAST_WORDS", 0.1)
        for step in range(2000):
            watching.tell("test", step, {"loss": 1.0})
        watching._feeds[0].close()
        watching._feeds.clear()
    assert time.monotonic() - begun < 30
    said = capfd.readouterr().out
    assert "tensorboard did not end within 0.1 s, and was ended" in said
    assert "tensorboard was too slow for the figures of" in said


_STAGE = """
import time
from slimline.training import watching
with watching.watching("test", ["tensorboard"]):
    watching.tell("test", 1, {"loss": 1.0})
    print(watching._feeds[0]._process.pid, flush=True)
    time.sleep(600)
"""


def test_it_ends_with_a_training_that_is_killed_and_keeps_its_figures(
    tool: Callable[[str], Path],
) -> None:
    path = tool("pass")
    training = subprocess.Popen([sys.executable, "-c", _STAGE], stdout=subprocess.PIPE, text=True)
    assert training.stdout is not None
    own = int(training.stdout.readline())
    training.kill()
    training.wait()
    training.stdout.close()
    deadline = time.monotonic() + 10
    while Path("/proc", str(own)).exists():
        assert time.monotonic() < deadline, "an orphan is left"
        time.sleep(0.1)
    assert told(path) == [("test/loss", 1.0, 1)]


def test_what_is_not_installed_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    missing = list(watching.PACKAGES)
    monkeypatch.setattr(watching.util, "find_spec", lambda _: None)
    toy.set_params(tmp_path, {"progress.watchers": missing})
    with pytest.raises(ParamsError) as refused:
        validate_params.main(path, toy.ROOT / "data" / "raw", tmp_path / "params.ok")
    assert str(refused.value).splitlines() == [
        f"params.yaml: progress.watchers: {name} is not installed: `python -m pip install "
        f"{watching.PACKAGES[name][1]}` adds it (given {name})"
        for name in missing
    ]


def test_each_once(tmp_path: Path) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    toy.set_params(tmp_path, {"progress.watchers": ["wandb", "wandb"]})
    with pytest.raises(ParamsError, match=r"progress\.watchers: must name each once"):
        validate_params.main(path, toy.ROOT / "data" / "raw", tmp_path / "params.ok")


def test_the_pins_are_those_of_the_extras() -> None:
    extras = tomllib.loads((toy.ROOT / "pyproject.toml").read_text())["project"]
    for name, (_, packages) in watching.PACKAGES.items():
        assert extras["optional-dependencies"][name] == packages.split()
