from pathlib import Path

import pytest
import repository
import toy
from repository import State

from benchmarks import training_noise
from benchmarks.training_noise import Judgement
from slimline import params
from slimline.measure import training_noise as noise
from slimline.report.gates import GatesParams
from slimline.repository import commit_results


def test_a_retraining_is_judged_by_what_diff_and_gate_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 of 2000 images lost, 0.8 points, where 0.3 are allowed."""
    folder = repository.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    then = commit_results.workspace()
    repository.write(folder, State(lost=16))
    now = commit_results.workspace()
    settings = params.load("gates", GatesParams)
    alone = training_noise.judge(then, now, settings, None)
    assert (alone.is_beyond_chance, alone.gate, alone.is_false) == (True, "broken", True)
    spread = noise.of([90.0, 90.8, 89.2, 90.4, 89.6], then.params)
    both = training_noise.judge(then, now, settings, spread)
    assert (both.is_beyond_chance, both.gate, both.is_false) == (False, "within noise", False)
    assert (alone.num_classes, both.num_classes) == (0, 0)


def test_a_class_that_is_called_changed_is_a_false_verdict_too() -> None:
    assert Judgement(is_beyond_chance=False, gate="kept", num_classes=1).is_false
    assert not Judgement(is_beyond_chance=False, gate="kept", num_classes=0).is_false


def test_neither_of_two_seeds_has_a_part_in_the_noise_that_judges_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    states = {}
    for seed, lost in enumerate((0, 4, 8, 200, 400), start=1):
        repository.write(folder, State(lost=lost))
        states[seed] = commit_results.workspace()
    assert training_noise.without(states, 4, 5).deviation == pytest.approx(0.2)
    assert training_noise.without(states, 1, 2).deviation > 5


def test_the_clone_is_a_repository_whose_settings_differ_as_was_asked(tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    training_noise._clone(folder, 0.5, ["num_threads=1"])
    before, after = (params.flat(params.read(root / "params.yaml")) for root in (toy.ROOT, folder))
    for key, value in before.items():
        if key.endswith(".epochs"):
            assert after[key] == value / 2
    assert after["num_threads"] == 1
    assert toy.git(folder, "status", "--porcelain") == ""
