from pathlib import Path

import numpy as np
import pytest

from slimline.measure import accuracy, significance
from slimline.measure.accuracy import Accuracy


@pytest.mark.parametrize(
    ("correct", "count", "low", "high"),
    [(50, 100, 40.383, 59.617), (0, 10, 0.0, 27.753), (10, 10, 72.247, 100.0)],
)
def test_wilson_interval(correct: int, count: int, low: float, high: float) -> None:
    found = Accuracy(count, correct, agreeing=0, loss=0.0, calibration_error=0.0).top1_interval
    assert found == pytest.approx((low, high), abs=1e-3)


def test_score_counts() -> None:
    logits = np.array([[2, 0], [0, 2], [0, 2]], np.float32)
    found = accuracy.score(logits, np.array([0, 1, 0]), np.array([0, 0, 0]))
    assert (found.count, found.correct, found.agreeing) == (3, 2, 1)
    right, wrong = np.log(1 + np.exp(-2)), np.log(1 + np.exp(2))
    assert found.loss == pytest.approx((2 * right + wrong) / 3)
    assert found.top1 == pytest.approx(200 / 3)


def test_huge_logits_have_a_finite_loss() -> None:
    logits = np.array([[1e4, 0]], np.float32)
    assert accuracy.score(logits, np.array([1]), np.array([0])).loss == pytest.approx(1e4)


def test_calibration_error_worked_out_by_hand() -> None:
    certainty = np.array([1.0, 1.0, 0.5, 0.5, 0.5, 0.34])
    is_right = np.array([True, False, True, False, False, True])
    # Three bins: two images half right at 1, three a third right at 0.5, one right at 0.34.
    expected = (2 * 0.5 + 3 * (0.5 - 1 / 3) + 1 * (1 - 0.34)) / 6
    found = accuracy.expected_calibration_error(certainty, is_right)
    assert found == pytest.approx(expected)


def test_a_model_as_sure_as_it_is_right_is_calibrated() -> None:
    logits = np.log(np.array([[3, 1]] * 4, np.float32))
    found = accuracy.score(logits, np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    assert found.ece == pytest.approx(0, abs=1e-5)


def test_predictions_round_trip(tmp_path: Path) -> None:
    answers = np.array([3, 0, 7])
    (tmp_path / "answers.txt").write_text(accuracy.format_predictions(answers))
    assert accuracy.read_predictions(tmp_path / "answers.txt").tolist() == [3, 0, 7]


def test_a_rare_class_counts_as_much_as_any() -> None:
    logits = np.array([[1, 0, 0]] * 9 + [[0, 0, 1]], np.float32)
    labels = np.array([0] * 8 + [2, 2])
    found = accuracy.score(logits, labels, labels)
    assert found.by_class == [(8, 8), (1, 2)], "of class 1 there is no image"
    assert (found.top1, found.mean_recall, found.least_recall) == (90, 75, 50)


def test_bounds_of_the_mean_recall_know_how_few_images_there_are() -> None:
    low, high = accuracy.mean_recall_bounds([(90, 100)], 0.975)
    exact = [100 * each for each in significance.clopper_pearson(90, 100, 0.975)]
    assert low == pytest.approx(exact[0])
    assert high == pytest.approx(90 + (exact[1] - exact[0]) / 2), "on no side less than half of it"
    low, high = accuracy.mean_recall_bounds([(900, 1000), (3, 3)], 0.975)
    assert (low < 61, high) == (True, 100)


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ([0.97, 0.8, 0.6], [1000, 60, 12]),
        ([0.95, 0.95, 0.5], [500, 500, 3]),
        ([0.9] * 10, [20] * 10),
        ([0.9] * 20, [2] * 20),
    ],
)
@pytest.mark.parametrize("sure", [0.9, 0.975])
def test_bounds_of_the_mean_recall_hold(
    sure: float, shares: list[float], counts: list[int]
) -> None:
    generator = np.random.default_rng(0)
    drawn = generator.binomial(counts, shares, (1000, len(counts)))
    bounds = np.array(
        [
            accuracy.mean_recall_bounds(list(zip(row, counts, strict=True)), sure)
            for row in drawn.tolist()
        ]
    )
    truth = 100 * np.mean(shares)
    missed = [(bounds[:, 0] > truth).mean(), (bounds[:, 1] < truth).mean()]
    assert max(missed) < 1.3 * (1 - sure), missed
