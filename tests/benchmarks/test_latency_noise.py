import sys
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import tiny_model
import toy

from benchmarks import latency_noise
from slimline import files

Capsys: TypeAlias = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the params of a run of few blocks."""
    (tmp_path / "params.yaml").write_text((toy.ROOT / "params.yaml").read_text())
    toy.set_params(tmp_path, {"benchmark.blocks": 7, "benchmark.runs": 2})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(capsys: Capsys, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[list[str]]:
    """The rows of what the script prints."""
    monkeypatch.setattr(sys, "argv", ["latency_noise", *arguments])
    latency_noise.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_the_times_of_a_recorded_run_are_judged(
    folder: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios = {"same": ([0.99, 1.01, 1.0], [1.04, 1.05, 1.06]), "slower": ([1.05, 1.06, 1.07],)}
    rows = [
        {"model": "m", "kind": kind, "test": f"{kind} {test}", "original": 2.0, "copy": 2 * ratio}
        for kind, tests in ratios.items()
        for test, three in enumerate(tests)
        for ratio in 3 * three
    ]
    files.write_table(folder / "times.tsv", rows)
    found = table(capsys, monkeypatch, "--replay", "times.tsv")
    assert [row[:4] for row in found] == [
        ["m", "same", "2", "1 (50.0 %)"],
        ["m", "slower", "1", "1 (100.0 %)"],
    ]
    assert [row[6:] for row in found] == [["9", "0"], ["9", "0"]]


def test_what_is_measured_can_be_replayed(
    folder: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How often it finds a difference is up to the machine."""
    model = str(tiny_model.write(folder / "tiny") / "model.onnx")
    short = ("--tests", "2", "--seconds", "0", "--record", "times.tsv")
    measured = table(capsys, monkeypatch, "--models", model, *short)
    assert [row[:3] for row in measured] == [["tiny", kind, "2"] for kind in latency_noise.KINDS]
    again = table(capsys, monkeypatch, "--replay", "times.tsv")
    assert [[*row[:3], row[6]] for row in again] == [[*row[:3], row[6]] for row in measured]
    assert len((folder / "times.tsv").read_text().splitlines()) == 1 + 3 * 2 * 7


def test_a_slower_copy_waits_after_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(latency_noise, "perf_counter", lambda: float(next(now)))
    answer = latency_noise._waiting(lambda batch: batch, 5.0)
    image = np.zeros([1, 1, 2, 2], np.float32)
    assert answer(image) is image
    assert next(now) == 6, "it looked at the clock until five seconds had passed"
