"""Killed at any moment, the next `dvc repro` ends with the same bytes, and nothing is left over."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import toy

from slimline import files

TRAINED = Path("models", "baseline_train")
TRAINING = {
    "baseline_train": "check_networks",
    "backbone_swap": "baseline_train",
    "prune": "sensitivity",
    "qat_finetune": "int8_sensitivity",
}
"""The stages that train, each with the last that runs before it."""
KILLS = 5
"""Of each stage that trains."""


def kill_dvc(dvc: subprocess.Popen[bytes], _: Path) -> None:
    dvc.kill()


def kill_stages(_: subprocess.Popen[bytes], folder: Path) -> None:
    for stage in stages_in(folder):
        os.kill(stage, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("kill", "workers"),
    [
        (kill_dvc, 0),
        pytest.param(kill_stages, 0, marks=pytest.mark.slow),
        pytest.param(kill_dvc, 2, marks=pytest.mark.slow),
        pytest.param(kill_stages, 2, marks=pytest.mark.slow),
    ],
)
def test_killed_in_the_middle_of_training(
    pipeline: Path,
    tmp_path: Path,
    kill: Callable[[subprocess.Popen[bytes], Path], None],
    workers: int,
) -> None:
    """Workers that decode images change no byte and are gone as well."""
    folder = toy.clone(pipeline, tmp_path / "toy")
    toy.set_params(folder, {"training.num_workers": workers})
    repro = ("repro", "--single-item", "--force", "baseline_train")
    command = [sys.executable, "-m", "dvc", *repro]
    dvc = subprocess.Popen(
        command, cwd=folder, env=toy.of_stages(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_for_output(dvc, b"train: step")
    kill(dvc, folder)
    dvc.wait()
    assert dvc.stdout is not None
    dvc.stdout.close()
    wait_until(lambda: not stages_in(folder), seconds=10)
    assert not (folder / TRAINED).exists()
    toy.dvc(folder, *repro)
    made = {path.name for path in (folder / "models").iterdir()}
    assert made == {path.name for path in (pipeline / "models").iterdir()}
    for name in ("weights.safetensors", "model.onnx"):
        again, first = folder / TRAINED / name, pipeline / TRAINED / name
        assert again.read_bytes() == first.read_bytes()
    told = [files.read_json(each / TRAINED / "model.json") for each in (folder, pipeline)]
    for each in told:
        del each["settings"]["recipe"]["num_workers"], each["sha256"]["settings"]
    assert told[0] == told[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_at_random_moments_it_goes_on_to_the_same_bytes(
    pipeline: Path, tmp_path: Path
) -> None:
    """Twenty times, DVC and the stage by turns, whatever they are about."""
    folder, moments = toy.make(tmp_path / "toy"), random.Random(0)
    toy.set_params(folder, {"progress.checkpoint_minutes": 0.0001})
    for stage, before in TRAINING.items():
        toy.dvc(folder, "repro", before)
        kill_again_and_again(folder, stage, moments)
        assert "an interrupted training" in toy.dvc(folder, "repro", stage).stdout
        assert not (folder / ".slimline" / "checkpoints" / stage).exists()
    again, first = toy.results(folder), toy.results(pipeline)
    trained = [name for name in first if name.split("/")[1] in TRAINING]
    assert {name: again[name] for name in trained} == {name: first[name] for name in trained}


def kill_again_and_again(folder: Path, stage: str, moments: random.Random) -> None:
    told, kills = folder.parent / f"{stage}.txt", 0
    while kills < KILLS:
        dvc = begin(folder, stage, told)
        time.sleep(moments.uniform(0, 2))
        if dvc.poll() is None:
            kills += 1
            (kill_dvc if kills % 2 else kill_stages)(dvc, folder)
            dvc.wait()
        else:
            assert dvc.returncode == 0, told.read_text()
        wait_until(lambda: not stages_in(folder))


def begin(folder: Path, stage: str, told: Path) -> subprocess.Popen[bytes]:
    """Run a stage, done or not, and wait until it trains, or has ended."""
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", stage]
    with told.open("wb") as output:
        dvc = subprocess.Popen(
            command, cwd=folder, env=toy.of_stages(), stdout=output, stderr=output
        )
    wait_until(lambda: dvc.poll() is not None or b": step " in told.read_bytes(), seconds=300)
    return dvc


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy repository whose baseline is trained, without interruption, by two processes."""
    folder = toy.make(tmp_path_factory.mktemp("two") / "toy")
    toy.set_params(
        folder,
        {
            "processes": 2,
            "progress.checkpoint_minutes": 0.0001,
            "baseline_train.recipe.epochs": 1,
            "baseline_train.backbone": "resnet8_w48",
        },
    )
    toy.dvc(folder, "repro", "baseline_train")
    toy.commit(folder, "Train")
    return folder


def is_rank(process: int) -> bool:
    try:
        return b"\0RANK=" in Path("/proc", str(process), "environ").read_bytes()
    except OSError:  # it has just ended
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("victim", ["dvc", "launcher", "first rank", "last rank"])
def test_of_several_processes_none_is_left_and_it_goes_on(
    two_processes: Path, tmp_path: Path, victim: str
) -> None:
    expected = toy.results(two_processes)
    dvc = begin(two_processes, "baseline_train", tmp_path / "told.txt")
    running = stages_in(two_processes)
    assert len([each for each in running if is_rank(each)]) == 2
    victims = {
        "dvc": [dvc.pid],
        "launcher": [each for each in running if not is_rank(each)],
        "first rank": sorted(each for each in running if is_rank(each))[:1],
        "last rank": sorted(each for each in running if is_rank(each))[1:],
    }
    os.kill(victims[victim][0], signal.SIGKILL)
    wait_until(lambda: not stages_in(two_processes), seconds=10)
    dvc.wait()
    # Forced, since DVC has the result of the run that was not interrupted in its cache.
    done = toy.dvc(two_processes, "repro", "--force", "--single-item", "baseline_train")
    assert "an interrupted training" in done.stdout
    assert toy.results(two_processes) == expected


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
        if is_here and b"-m\0stages." in command:
            found.append(int(process.name))
    return found
