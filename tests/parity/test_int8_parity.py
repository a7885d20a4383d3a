import numpy as np
import pytest

from slimline.parity import int8_parity

TIMES = 100
"""So often the four images, that chance explains little."""

LABELS = np.tile([0, 1, 1, 0], TIMES)
ONE = np.tile(np.array([[2, 1], [1, 2], [1, 2], [1, 2]], np.float32), (TIMES, 1))
OTHER = np.tile(np.array([[2, 1], [1, 2], [2, 1], [1, 2]], np.float32), (TIMES, 1))


def test_figures_worked_out_by_hand() -> None:
    found = int8_parity.compare(ONE, ONE, OTHER, LABELS)
    assert (found.agreement_written, found.agreement) == (100, 75)
    assert (found.top1_fake_quant, found.top1_int8) == (75, 50)
    assert found.spread == 1
    assert (found.largest_difference_written, found.largest_difference) == (0, 1)
    assert (found.images, found.won, found.lost) == (400, 0, 100)
    assert found.least_top1_difference == pytest.approx(20.9, abs=0.3)
    assert int8_parity.root_mean_square(ONE, OTHER) == pytest.approx(0.5)


@pytest.mark.parametrize(("count", "num_others"), [(50, 1), (300, 2), (5000, 30)])
def test_a_few_odd_ties_prove_no_difference_in_accuracy(count: int, num_others: int) -> None:
    """298 of 300 equal answers, at 0.7 points less, stopped a sound EfficientNet-Lite0."""
    labels = np.zeros(count, int)
    logits = np.tile(np.array([[1, 0.99, -20]], np.float32), (count, 1))
    turned = logits.copy()
    turned[:num_others, :2] = turned[:num_others, 1::-1]
    assert int8_parity.compare(logits, turned, turned, labels).least_top1_difference <= 0.5


@pytest.mark.parametrize("count", [1, 50, 5000])
def test_the_first_images_are_looked_into_and_those_that_differ_most(count: int) -> None:
    logits = np.zeros((count, 3), np.float32)
    written, optimised = logits.copy(), logits.copy()
    written[count // 2, 1] = 0.1
    optimised[-1, 2] = np.nan
    rows = int8_parity.to_look_into(logits, written, optimised)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert set(range(min(count, 30))) | {count // 2, count - 1} <= set(rows.tolist())
    assert len(rows) <= 50
