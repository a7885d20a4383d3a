"""Ranges of distributions that can be worked out by hand."""

import numpy as np
import pytest

from slimline.quantization import calibrators
from slimline.quantization.calibrators import CALIBRATORS, Histogram

BINS = calibrators.NUM_BINS


def histogram(low: float, high: float, counts: dict[int, float]) -> Histogram:
    """Return one whose bins hold nothing but what is given, by bin."""
    found = np.zeros(BINS)
    for place, count in counts.items():
        found[place] = count
    return Histogram(found, low, high)


def uniform(low: float, high: float) -> Histogram:
    return Histogram(np.full(BINS, 100.0), low, high)


@pytest.mark.parametrize("name", ["mse", "entropy"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 4.0), (-1.0, 1.0), (-6.0, 2.0)])
def test_of_an_even_distribution_nothing_is_cut(name: str, low: float, high: float) -> None:
    assert CALIBRATORS[name](uniform(low, high)) == (low, high)


def test_percentile_leaves_out_one_value_in_ten_thousand() -> None:
    """Of 20,000 values it is one at each end: what lies beyond the first and the last thousand."""
    found = histogram(0, BINS, {0: 1, 500: 1000, 900: 17998, 1500: 1000, 2047: 1})
    assert calibrators.percentile(found) == (500, 1501)


def test_percentile_keeps_an_end_where_many_values_are() -> None:
    """After a ReLU a quarter of the values are 0; three outliers are one too many to cut."""
    assert calibrators.percentile(histogram(0, BINS, {0: 5000, 800: 15000, 2047: 1})) == (0, 801)
    assert calibrators.percentile(histogram(0, BINS, {0: 5000, 800: 15000, 2047: 3})) == (0, BINS)


def test_mse_trades_rounding_for_cutting() -> None:
    """10,000 values at 1.001 and one at 99.98, the centres of their bins.

    Up to 100 a step is 0.3922 and 1.001 becomes 1.176: an error of 10,000 * 0.1756^2 = 308. With
    the next narrower range, up to 91.70, it becomes 1.079, and one value loses 8.27: 60 + 68 = 129.
    The one after that, up to 84.09, loses 15.89 at the top, 252 alone; further ones lose more.
    """
    found = histogram(0, 100, {20: 10_000, 2047: 1})
    assert calibrators.mse(found) == (0, pytest.approx(100 * 0.5 ** (1 / 8)))


def test_mse_moves_the_end_that_is_far() -> None:
    """A hundred thousand values in each bin from -1 to 1, and one at -10.

    Down to -10 a step is 0.043, and a value's error its square by 12: 5,700 in all. Down to -1 the
    one value loses 81, the others a thirtieth of what they did.
    """
    counts = np.zeros(BINS)
    counts[np.linspace(-10, 1, BINS + 1)[:-1] >= -1] = 1e5
    counts[0] = 1
    low, high = calibrators.mse(Histogram(counts, -10, 1))
    assert high == 1
    assert -1.1 < low < -0.9


def test_entropy_cuts_until_a_byte_no_longer_mixes_neighbours() -> None:
    """Counts of 1 and 3 in turns up to 1, and one value at 10.

    Up to 10 a byte covers eight bins, and both counts become 2: a divergence of
    ln(1 / 2) / 4 + 3 * ln(3 / 2) / 4 = 0.131. Up to an eighth of that each bin has its byte, and
    what is left is the one value, cut off.
    """
    counts = np.zeros(BINS)
    counts[:204] = np.tile([100, 300], 102)
    counts[-1] = 1
    low, high = calibrators.entropy(Histogram(counts, 0, 10))
    assert low == 0
    assert 1 <= high <= 1.25


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_range_reaches_zero_and_no_further_than_the_values(name: str) -> None:
    low, high = CALIBRATORS[name](histogram(-8, 8, {0: 3, 1000: 10_000, 1100: 20_000, 2047: 5}))
    assert -8 <= low <= 0 <= high <= 8
