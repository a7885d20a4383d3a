"""Two processes, on the CPU: the same steps as one, the same bytes each time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import toy

from slimline import errors, schema
from slimline.training import processes

SCRIPT = Path(__file__).parent / "several.py"
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
TWO = (*LAUNCHER, "2")


def train(
    folder: Path, *, launcher: tuple[str, ...] = TWO, stop_after: int = 0, batch_size: int = 20
) -> dict[str, Any]:
    paths = os.pathsep.join([str(toy.ROOT), str(toy.ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(folder), str(stop_after), str(batch_size)],
        env=toy.of_stages() | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (stop_after == 0), done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[0]) if lines else {}


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [20, 15])
def test_two_do_what_one_does(tmp_path: Path, batch_size: int) -> None:
    """15 images cannot be divided: one process has eight of them, the other seven."""
    one = train(tmp_path / "one", launcher=(), batch_size=batch_size)
    two, again = (train(tmp_path / name, batch_size=batch_size) for name in ("two", "again"))
    assert two == again, "two runs give the same bytes"
    assert two["same"], "and all processes have them"
    assert two["digest"] != one["digest"]
    for key in ("steps", "rates", "images", "seen", "validated"):
        assert two[key] == one[key], key
    assert abs(two["top1"] - one["top1"]) < 15


@pytest.mark.slow
@pytest.mark.parametrize("count", ["2", "3"])
def test_interrupted_and_gone_on(tmp_path: Path, count: str) -> None:
    """From three on the order of a sum shows in its last bits."""
    launcher = (*LAUNCHER, count)
    whole = train(tmp_path / "whole", launcher=launcher)
    assert train(tmp_path / "parts", launcher=launcher, stop_after=6) == {}
    assert train(tmp_path / "parts", launcher=launcher) == whole


def test_alone_nothing_is_asked_of_others() -> None:
    value = torch.tensor(2.0)
    assert processes.mean(value) is processes.total(value) is value
    assert processes.wrap(network := torch.nn.Linear(1, 1)) is network
    assert (processes.rank(), processes.count()) == (0, 1)


def test_another_number_than_the_launcher_started_is_refused() -> None:
    processes._refuse_other_number(2, 2)
    with pytest.raises(errors.ParamsError, match="processes: the launcher started 4") as told:
        processes._refuse_other_number(4, 2)
    assert "start 2, or say 4" in str(told.value)


def test_too_few_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(errors.ParamsError, match="has 2 of the 3 that it needs"):
        processes._launch(3)
    with pytest.raises(errors.ParamsError, match="has 2 of the 3 that it needs"):
        processes._own_gpu("2")
    assert [processes._own_gpu(local) for local in ("0", "1")] == [0, 1]
    with pytest.raises(errors.ParamsError, match="says with no LOCAL_RANK"):
        processes._own_gpu(None)


def test_where_each_process_sees_its_own_gpu_alone_that_is_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert [processes._own_gpu(local) for local in ("0", "1", None)] == [0, 0, 0]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "torchrun hides none")
    with pytest.raises(errors.ParamsError, match="has 1 of the 2 that it needs"):
        processes._own_gpu("1")


@pytest.mark.parametrize(
    ("processes", "parts", "told"),
    [
        (8, 1, "is shared by 8 processes, and each"),
        (1, 8, "is cut into 8 parts by step.accumulate, and each"),
        (4, 2, "is shared by 4 processes and cut into 2 parts by step.accumulate, and each"),
    ],
)
def test_batches_too_small_to_share_are_refused(
    tmp_path: Path, processes: int, parts: int, told: str
) -> None:
    (tmp_path / "params.yaml").write_text((toy.ROOT / "params.yaml").read_text())
    cut = {"processes": processes, "training.step.accumulate": parts}
    toy.set_params(tmp_path, cut | {"training.batch_size": 16})
    schema.check(tmp_path / "params.yaml")
    toy.set_params(tmp_path, cut | {"training.batch_size": 15})
    with pytest.raises(errors.ParamsError) as refused:
        schema.check(tmp_path / "params.yaml")
    assert f"training.batch_size: {told} needs two images" in str(refused.value)
    assert "16 or more (given 15)" in str(refused.value)


def test_a_rank_that_no_launcher_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy.ROOT)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(errors.ParamsError, match="has RANK and no WORLD_SIZE"):
        processes.spread(lambda: None)()
