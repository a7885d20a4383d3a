from dataclasses import replace
from pathlib import Path

import finished
import numpy as np
import pytest
import repository
from repository import State

from slimline.measure import results
from slimline.measure.results import Results
from slimline.measure.variant_figures import ResultsError
from slimline.report import waterfall


@pytest.fixture
def found(tmp_path: Path) -> Results:
    metrics = finished.make(tmp_path / "toy", state=State(lost=40)) / "metrics"
    return results.load(metrics, repository.DECLARED)


def test_the_steps_add_up(found: Results) -> None:
    way = waterfall.waterfall(found)
    assert [step.name for step in way.steps] == ["backbone_swap", "prune", "int8_export"]
    for figure in ("top1", "size_kib", "macs_m", "p50_ms"):
        parts = [getattr(step, figure) for step in way.steps]
        assert sum(parts) == pytest.approx(getattr(way.total, figure))
    assert way.total.size_kib == -39000


def test_accuracy_is_that_of_the_images_behind_it(found: Results) -> None:
    last = waterfall.waterfall(found).steps[-1]
    assert last.paired is not None
    assert (last.paired.won, last.paired.lost) == (0, 40)
    assert last.top1 == pytest.approx(last.paired.gain) == pytest.approx(-2)


def test_answers_to_other_images_are_not_paired(found: Results) -> None:
    way = waterfall.waterfall(found, is_labelled=False)
    assert way.total.paired is None
    assert way.total.top1 == pytest.approx(-2)


def test_a_commit_without_a_variant_is_compared_where_it_can_be(found: Results) -> None:
    variants = {name: each for name, each in found.variants.items() if name != "prune"}
    older = waterfall.waterfall(replace(found, variants=variants))
    changes = waterfall.compare(older, waterfall.waterfall(found))
    assert [change.before is not None for change in changes] == [True, False, False, True]


def test_times_of_another_cpu_are_not_put_side_by_side(found: Results) -> None:
    moved = {name: replace(each, cpu="Other CPU") for name, each in found.variants.items()}
    older = waterfall.waterfall(replace(found, variants=moved))
    changes = waterfall.compare(older, waterfall.waterfall(found))
    assert not any(change.is_same_machine for change in changes)


def test_the_time_of_a_step_has_an_interval_of_its_own(found: Results) -> None:
    turns = np.linspace(0.98, 1.02, 21)
    drift = np.linspace(1, 3, 21)  # a machine that slows down hits both alike
    times = found.blocks | {"backbone_swap": drift, "prune": 0.6 * turns * drift}
    way = waterfall.waterfall(replace(found, blocks=times))
    # The sixth and the sixteenth of 21 values bound their median.
    assert way.steps[1].slower == pytest.approx(
        (-40, 100 * (0.6 * 0.99 - 1), 100 * 0.6 * 1.01 - 100)
    )
    assert way.steps[1].time_change == pytest.approx(-40)


def test_the_time_of_a_commit_without_blocks_is_that_of_its_medians(found: Results) -> None:
    step = waterfall.waterfall(replace(found, blocks={})).steps[1]
    assert step.slower is None
    assert step.time_change == pytest.approx(100 * step.p50_ms / step.before.p50_ms)


def test_a_step_that_spares_less_time_than_it_did_is_found(found: Results) -> None:
    slower = found.blocks | {"prune": 1.1 * found.blocks["prune"]}
    same, changed = (
        waterfall.compare(waterfall.waterfall(found), waterfall.waterfall(each))
        for each in (found, replace(found, blocks=slower))
    )
    assert same[1].slower is not None
    assert same[1].slower[1] < 0 < same[1].slower[2]
    assert changed[1].slower is not None
    assert changed[1].slower == pytest.approx((10, 8, 12), abs=2)
    assert changed[1].slower[1] > 0


def test_times_of_another_cpu_are_not_compared(found: Results) -> None:
    moved = {name: replace(each, cpu="Other CPU") for name, each in found.variants.items()}
    older = waterfall.waterfall(replace(found, variants=moved))
    assert all(each.slower is None for each in waterfall.compare(older, waterfall.waterfall(found)))


def test_the_control_tells_more_training_and_the_cut_apart(found: Results) -> None:
    """Of 2000 images the control wins 20; pruning loses them again."""
    answers = found.predictions["backbone_swap"].copy()
    wrong = np.flatnonzero(answers != found.labels)[:20]
    answers[wrong] = found.labels[wrong]
    way = waterfall.waterfall(replace(found, control=answers))
    assert way.control is not None
    training, cut = way.control
    (pruned,) = (step for step in way.steps if step.name == "prune")
    assert (training.top1, cut.top1) == (pytest.approx(1), pytest.approx(-1))
    for figure in ("top1", "size_kib", "macs_m", "p50_ms"):
        halves = getattr(training, figure) + getattr(cut, figure)
        assert halves == pytest.approx(getattr(pruned, figure))
    assert training.paired is not None
    assert (training.paired.won, training.paired.lost) == (20, 0)
    assert (training.size_kib, training.macs_m, training.p50_ms) == (0, 0, 0)
    assert waterfall.waterfall(found).control is None


def test_the_report_has_a_line_of_the_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "toy", state=State(lost=5))
    predictions = folder / "metrics" / "predictions"
    (predictions / "prune_control.txt").write_text("")
    assert "more training*" not in finished.run(folder, monkeypatch)["report.md"]
    answers = (predictions / "backbone_swap.txt").read_text()
    (predictions / "prune_control.txt").write_text(answers)
    documents = finished.run(folder, monkeypatch)
    assert "| *of it more training* | 0.00 | " in documents["report.md"]
    assert "| *of it the cut* | 0.00 | " in documents["report.md"]
    assert "<td>of it the cut</td>" in documents["report.html"]
    (predictions / "prune_control.txt").write_text("0\n1\n")
    with pytest.raises(ResultsError, match=r"prune_control.txt: has 2 answers for 2000 labels"):
        finished.run(folder, monkeypatch)
