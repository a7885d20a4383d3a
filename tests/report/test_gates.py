from math import nan
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import repository
import toy
from repository import State

from slimline import params
from slimline.measure import accuracy, block_times
from slimline.measure.paired_answers import Paired
from slimline.report import base_commit, gates
from slimline.report.gates import Figure, Gate, GatesParams
from slimline.repository import commit_results


def test_every_limit_has_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository.make(tmp_path / "toy", State(lost=3))
    keys = [key for key in GatesParams.model_fields if key not in ("burden", "confidence")]
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


@pytest.mark.parametrize(
    ("key", "value", "low", "high", "verdict"),
    [
        ("max_x", 4, 3, 5, "kept"),
        ("max_x", 4, 3, 5.1, "not proven"),
        ("max_x", 5.1, 5, 6, "not proven"),
        ("max_x", 6, 5.1, 7, "broken"),
        ("min_x", 6, 5, 7, "kept"),
        ("min_x", 6, 4.9, 7, "not proven"),
        ("min_x", 4, 3, 4.9, "broken"),
    ],
)
def test_with_the_burden_to_prove_a_gate_is_kept_only_within_its_bounds(
    key: str, value: float, low: float, high: float, verdict: str
) -> None:
    gate = Gate(key, "x", "units", 5, Figure(value, low, high), "", "prove")
    assert gate.verdict == verdict
    assert gates.are_kept([gate]) == (verdict == "kept")


@pytest.mark.parametrize("burden", ["refute", "prove"])
@pytest.mark.parametrize("key", ["max_x", "min_x"])
@pytest.mark.parametrize("figure", [(nan, nan, nan), (1, nan, 1), (9, 9, nan), (nan, 1, 9)])
def test_nan_is_never_kept(
    key: str, figure: tuple[float, float, float], burden: Literal["refute", "prove"]
) -> None:
    gate = Gate(key, "x", "units", 5, Figure(*figure), "", burden)
    assert gate.verdict == "broken"
    assert not gates.are_kept([gate])


def test_what_cannot_be_compared_is_not_judged() -> None:
    gate = Gate("max_x", "x", "units", 5, None, "no reason")
    assert gate.verdict == "not judged"
    assert gates.are_kept([gate])
    assert not gates.are_kept([gate], is_strict=True)


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
        # Of the four lost images less is known than that the smallest class has few.
        weakest = 3 if lost == 40 else 0
        assert f"test images of class {weakest} show a loss from" in dropped.note
    mean = gates_by_key["min_mean_recall"].figure
    assert mean is not None
    assert mean.low < mean.value < mean.high


def classes(*counts: tuple[int, int, int]) -> list[Paired]:
    return [Paired(count, count, count - lost + won, won, lost) for count, won, lost in counts]


def test_that_no_class_lost_much_is_for_each_class_to_prove() -> None:
    """Non-inferiority: 3 images prove nothing, and many classes make it no harder for each."""
    large = classes((1000, 10, 10))
    found = gates.recall_drop(large, 0.95)
    assert Gate("max_recall_drop", "x", "points", 2, found, "", "prove").verdict == "kept"
    many = gates.recall_drop(large * 50, 0.95)
    assert many.high == found.high, "the intersection-union test needs no correction"
    assert many.low < found.low, "to be worse by chance, one of 50 needs to be much worse"
    rare = gates.recall_drop([*large, *classes((3, 0, 0))], 0.95)
    assert Gate("max_recall_drop", "x", "points", 2, rare, "", "prove").verdict == "not proven"
    assert Gate("max_recall_drop", "x", "points", 2, rare, "", "refute").verdict == "kept"


def test_a_class_without_test_images_proves_nothing() -> None:
    drop = gates.recall_drop(classes((1000, 10, 10), (0, 0, 0)), 0.95)
    assert Gate("max_recall_drop", "x", "points", 2, drop, "", "prove").verdict == "not proven"
    assert Gate("max_recall_drop", "x", "points", 2, drop, "", "refute").verdict == "kept"
    mean = gates.mean_recall([(980, 1000)], 2, 0.95)
    assert mean.value == 98
    assert Gate("min_mean_recall", "x", "%", 90, mean, "", "prove").verdict == "not proven"
    assert Gate("min_mean_recall", "x", "%", 90, mean, "", "refute").verdict == "kept"
    whole = gates.mean_recall([(980, 1000)], 1, 0.95)
    assert Gate("min_mean_recall", "x", "%", 90, whole, "", "prove").verdict == "kept"


@pytest.mark.parametrize(("limit", "told"), [(80, ""), (98, ", one of 0.5 would take ")])
def test_a_floor_of_accuracy_says_what_its_images_show(
    limit: float, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how far the figure lies above the limit: nobody asks about a loss from 100 % on."""
    folder = repository.make(tmp_path / "toy", State())
    path = folder / "metrics" / "predictions" / "int8_export.txt"
    labels = accuracy.read_predictions(folder / "metrics" / "predictions" / "labels.txt")
    answers = labels.copy()
    answers[:30] = (labels[:30] + 1) % 10  # 98.5 %
    path.write_text(accuracy.format_predictions(answers))
    repository.write_top1(folder, "int8_export")
    toy.set_params(folder, {"gates.min_top1": limit, "gates.min_mean_recall": limit})
    monkeypatch.chdir(folder)
    found = gates.judge(commit_results.workspace().results, params.load("gates", GatesParams))
    for gate in (each for each in found if each.key in ("min_top1", "min_mean_recall")):
        assert "2,000 test images show a loss from 0." in gate.note
        assert ("would take" in gate.note) == bool(told)
    (top1,) = (each for each in found if each.key == "min_top1")
    assert told in top1.note


def test_one_rare_class_makes_images_show_less_of_the_mean_recall() -> None:
    even, rare = (
        gates.mean_recall(each, 2, 0.95).sampled
        for each in ([(500, 500)] * 2, [(990, 990), (10, 10)])
    )
    assert even is not None
    assert rare is not None
    assert even.count == rare.count
    assert even.smallest < 1 < 5 < rare.smallest, "one image of ten is 5 points of the mean"


@pytest.mark.parametrize(("key", "is_reference"), [("max_p50_ms", False), ("min_speedup", True)])
def test_a_bound_that_is_no_number_breaks_a_gate_of_time(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_reference: bool
) -> None:
    monkeypatch.chdir(repository.make(tmp_path / "toy", State()))
    toy.set_params(tmp_path / "toy", {f"gates.{key}": 1})
    now = commit_results.workspace().results
    kind = "speedup_bounds" if is_reference else "time_bounds"
    monkeypatch.setattr(block_times, kind, lambda *_: (nan, 9.0))
    (gate,) = (
        each for each in gates.judge(now, params.load("gates", GatesParams)) if each.key == key
    )
    assert gate.verdict == "broken"
