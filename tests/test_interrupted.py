"""Killed at any moment, the next `dvc repro` ends with the same bytes, and nothing is left over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import toy

TRAINED = Path("models", "baseline_train")


def kill_dvc(dvc: subprocess.Popen[bytes], _: int) -> None:
    dvc.kill()


def kill_stage(_: subprocess.Popen[bytes], stage: int) -> None:
    os.kill(stage, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kill", [kill_dvc, pytest.param(kill_stage, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_training(
    pipeline: Path, tmp_path: Path, kill: Callable[[subprocess.Popen[bytes], int], None]
) -> None:
    folder = toy.clone(pipeline, tmp_path / "toy")
    repro = ("repro", "--single-item", "--force", "baseline_train")
    command = [sys.executable, "-m", "dvc", *repro]
    dvc = subprocess.Popen(
        command, cwd=folder, env=toy.of_stages(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_for_output(dvc, b"train: step")
    stage = stages_in(folder)[0]
    kill(dvc, stage)
    dvc.wait()
    assert dvc.stdout is not None
    dvc.stdout.close()
    wait_until(lambda: not stages_in(folder))
    assert not (folder / TRAINED).exists()
    toy.dvc(folder, *repro)
    made = {path.name for path in (folder / "models").iterdir()}
    assert made == {path.name for path in (pipeline / "models").iterdir()}
    for name in ("weights.safetensors", "model.onnx", "model.json"):
        again, first = folder / TRAINED / name, pipeline / TRAINED / name
        assert again.read_bytes() == first.read_bytes()


def wait_for_output(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} was never printed")


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "an orphan is left"
        time.sleep(0.1)


def stages_in(folder: Path) -> list[int]:
    """The processes that run a stage in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            is_here = (process / "cwd").resolve() == folder.resolve()
        except OSError:  # it has just ended
            continue
        if is_here and command.split(b"\0")[1:3] == [b"-m", b"stages.baseline_train"]:
            found.append(int(process.name))
    return found
