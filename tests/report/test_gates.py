from pathlib import Path

import numpy as np
import pytest
import repository
import toy
from repository import State

from slimline import params
from slimline.measure import accuracy
from slimline.report import base_commit, gates
from slimline.report.gates import Figure, Gate, GatesParams
from slimline.repository import commit_results


def test_every_limit_has_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository.make(tmp_path / "toy", State(lost=3))
    keys = [key for key in GatesParams.model_fields if key != "confidence"]
    toy.set_params(folder, {f"gates.{key}": 1 for key in keys})
    monkeypatch.chdir(folder)
    now = commit_results.workspace()
    settings = params.load("gates", GatesParams)
    judged = gates.judge(now.results, settings, base_commit.of(now, now))
    assert [gate.key for gate in judged] == keys


@pytest.mark.parametrize(
    ("key", "value", "low", "high", "verdict"),
    [
        ("max_x", 5, 4, 6, "kept"),
        ("max_x", 5.1, 5, 6, "within noise"),
        ("max_x", 6, 5.1, 7, "broken"),
        ("min_x", 5, 4, 6, "kept"),
        ("min_x", 4.9, 4, 5, "within noise"),
        ("min_x", 4, 3, 4.9, "broken"),
        ("max_x", 6, float("-inf"), float("inf"), "within noise"),
    ],
)
def test_a_gate_breaks_only_beyond_its_bounds(
    key: str, value: float, low: float, high: float, verdict: str
) -> None:
    gate = Gate(key, "x", "units", 5, Figure(value, low, high), "")
    assert gate.verdict == verdict


def test_what_cannot_be_compared_is_not_judged() -> None:
    gate = Gate("max_x", "x", "units", 5, None, "no reason")
    assert gate.verdict == "not judged"
    assert gates.are_kept([gate])


@pytest.mark.parametrize(("lost", "verdict"), [(0, "kept"), (4, "within noise"), (40, "broken")])
def test_a_class_that_loses_breaks_its_gate(
    lost: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One class of ten loses images, which top-1 hardly shows."""
    folder = repository.make(tmp_path / "toy", State(lost=0))
    answers_path = folder / "metrics" / "predictions" / "int8_export.txt"
    labels = accuracy.read_predictions(folder / "metrics" / "predictions" / "labels.txt")
    answers = accuracy.read_predictions(answers_path)
    right = np.flatnonzero((answers == labels) & (labels == 3))[:lost]
    answers[right] = 4
    answers_path.write_text(accuracy.format_predictions(answers))
    repository.write_top1(folder, "int8_export")
    toy.set_params(folder, {"gates.max_recall_drop": 2, "gates.min_mean_recall": 50})
    monkeypatch.chdir(folder)
    now = commit_results.workspace()
    gates_by_key = {
        each.key: each for each in gates.judge(now.results, params.load("gates", GatesParams))
    }
    dropped = gates_by_key["max_recall_drop"]
    assert dropped.verdict == verdict
    if lost:
        assert f"0 images won, {lost} lost" in dropped.note
    mean = gates_by_key["min_mean_recall"].figure
    assert mean is not None
    assert mean.low < mean.value < mean.high
