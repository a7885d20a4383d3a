import numpy as np
import pytest

from slimline.measure import paired_answers
from slimline.measure.paired_answers import Paired


def counts(won: int, lost: int, count: int, both: int = 0) -> Paired:
    return Paired(count, both + lost, both + won, won, lost)


def test_counts_worked_out_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    found = paired_answers.compare(np.array([0, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 1]), labels)
    assert found == Paired(count=5, correct_before=2, correct_after=2, won=1, lost=1)
    assert (found.top1_before, found.top1_after, found.gain) == (40, 40, 0)


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    # Worked out by hand: twice the sum of binomial coefficients over a power of two.
    [(0, 0, 1), (0, 1, 1), (1, 7, 2 * 9 / 2**8), (7, 1, 2 * 9 / 2**8), (0, 6, 2 / 2**6), (5, 5, 1)],
)
def test_mcnemar_is_exact(won: int, lost: int, p: float) -> None:
    assert counts(won, lost, 100).p_value == pytest.approx(p, rel=1e-12)


def test_interval_is_that_of_the_literature() -> None:
    """Airway hyper-responsiveness (Bentur et al., 2009), as Fagerland et al. tabulate it, 2014."""
    low, high = counts(won=1, lost=7, count=21, both=1).gain_bounds()
    assert (low, high) == (pytest.approx(-51.7, abs=0.05), pytest.approx(-2.6, abs=0.05))


def test_interval_is_symmetric_and_bounded() -> None:
    for won, lost, count in [(0, 0, 50), (3, 9, 100), (50, 0, 50), (40, 20, 160)]:
        low, high = counts(won, lost, count).gain_bounds()
        mirrored = counts(lost, won, count).gain_bounds()
        assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]), abs=1e-6)
        assert -100 <= low <= 100 * (won - lost) / count + 1e-6
        assert 100 * (won - lost) / count - 1e-6 <= high <= 100


def test_interval_without_a_changed_image_is_not_empty() -> None:
    low, high = counts(0, 0, 10_000).gain_bounds()
    assert high == pytest.approx(100 * 1.959964**2 / (10_000 + 1.959964**2), abs=1e-4)
    assert low == pytest.approx(-high, abs=1e-6)


@pytest.mark.parametrize("shares", [(0.03, 0.03), (0.01, 0.04), (0.005, 0.001)])
def test_interval_covers_in_95_of_100(shares: tuple[float, float]) -> None:
    rng, count, hits = np.random.default_rng(0), 1000, 0
    for won, lost, _ in rng.multinomial(count, [*shares, 1 - sum(shares)], size=1000):
        low, high = counts(int(won), int(lost), count).gain_bounds()
        hits += low <= 100 * (shares[0] - shares[1]) <= high
    assert 0.92 <= hits / 1000 <= 0.975


def test_equal_models_are_seldom_called_different() -> None:
    rng, count = np.random.default_rng(1), 1000
    draws = rng.multinomial(count, [0.03, 0.03, 0.94], size=1000)
    called = [counts(int(won), int(lost), count).p_value <= 0.05 for won, lost, _ in draws]
    assert np.mean(called) <= 0.05


def test_an_interval_of_a_large_test_set_is_quick() -> None:
    found = counts(won=400_000, lost=410_000, count=10_000_000)
    assert found.p_value < 1e-20
    low, high = found.gain_bounds()
    assert low < -0.1 < high < 0


def test_the_one_class_that_changed_is_found_among_many() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 50, 10_000)
    before = np.where(rng.random(10_000) < 0.1, (labels + 1) % 50, labels)
    after = np.where(rng.random(10_000) < 0.1, (labels + 1) % 50, labels)
    after[(labels == 7) & (rng.random(10_000) < 0.3)] = 8
    classes = paired_answers.by_class(before, after, labels, 50)
    assert sum(each.count for each in classes) == 10_000
    assert paired_answers.changed_classes(classes) == [7]


def test_a_class_without_images_says_nothing() -> None:
    labels = np.array([0, 0, 0])
    empty = paired_answers.by_class(labels, labels, labels, 2)[1]
    assert (empty.count, empty.p_value, empty.gain) == (0, 1, 0)
    assert empty.gain_bounds() == (-100, 100)


def test_cautious_bounds_are_half_an_image_wider() -> None:
    found = Paired(2000, 1800, 1795, won=0, lost=5)
    low, high = found.gain_bounds(0.95)
    cautious_low, cautious_high = found.gain_bounds(0.95, is_cautious=True)
    assert low - 0.1 < cautious_low < low < high < cautious_high < high + 0.1
