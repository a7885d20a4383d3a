"""Which range shall the bytes of an activation cover? Chosen from how often its values occur.

minmax       all values
percentile   all but one value in 10,000
mse          the least squared error of what is rounded and what is cut off
entropy      the least loss of information, as TensorRT has it: the Kullback-Leibler divergence
             of the values as rounded from the values as they were, both cut off alike
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 2048
_LEVELS = 255
"""Steps between the smallest and the largest byte."""
_CUT = 1e-4
"""Share of the values that `percentile` leaves out, half of it at each end."""
_SHARES = 0.5 ** (np.arange(41) / 8)
"""How far an end may move towards 0: from where it is to a thirty-second, by a twelfth at a time.
"""
_UNSEEN = 1e-9
"""Probability of a value that rounding has no byte for; keeps the logarithm finite."""

Calibrator: TypeAlias = Literal["minmax", "percentile", "entropy", "mse"]
"""The names that `params.yaml` may choose."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Histogram:
    """How often values occur in bins of equal width from `low` to `high`."""

    counts: NDArray[np.float64]
    """[bins]."""
    low: float
    high: float

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where the bins begin and end, float64 [bins + 1]."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def centres(self) -> NDArray[np.float64]:
        """What stands for the values of a bin, float64 [bins]."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def share_outside(self, low: float, high: float) -> float:
        """Return the share of the values, 0 to 1, that a range leaves out; 0 of none."""
        total = float(self.counts.sum())
        is_outside = (self.centres < low) | (self.centres > high)
        return float(self.counts[is_outside].sum()) / total if total else 0.0


def minmax(histogram: Histogram) -> Range:
    """Return the range that leaves out nothing."""
    return histogram.low, histogram.high


def percentile(histogram: Histogram) -> Range:
    """Return the range that leaves out an equal number of values at both ends."""
    allowed = _CUT / 2 * histogram.counts.sum() * (1 + 1e-12)
    first, last = (
        int((np.cumsum(counts) > allowed).argmax())
        for counts in (histogram.counts, histogram.counts[::-1])
    )
    return float(histogram.edges[first]), float(histogram.edges[::-1][last])


def mse(histogram: Histogram) -> Range:
    """Return the range with the least squared error."""
    values = histogram.centres

    def error(low: float, high: float) -> float:
        step, zero, byte = _quantized(values, low, high)
        return float((histogram.counts * (values - (byte - zero) * step) ** 2).sum())

    return _nearest_ends(histogram, error)


def entropy(histogram: Histogram) -> Range:
    """Return the range with the least divergence."""
    values = histogram.centres

    def divergence(low: float, high: float) -> float:
        inside = np.flatnonzero((low <= values) & (values <= high))
        if not len(inside):
            return np.inf
        counts = histogram.counts[inside]
        before = counts.copy()
        before[0] += histogram.counts[: inside[0]].sum()
        before[-1] += histogram.counts[inside[-1] + 1 :].sum()
        after = _spread(counts, _quantized(values[inside], low, high)[2])
        return _divergence(before, after)

    return _nearest_ends(histogram, divergence)


CALIBRATORS: dict[Calibrator, Callable[[Histogram], Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}


def _nearest_ends(histogram: Histogram, cost: Callable[[float, float], float]) -> Range:
    """Return the range of the least cost: the end further from 0 is moved first, then the other.

    Of equal ones the widest. A range always has 0 in it, which must have a byte of its own.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if low == high:
        return low, high
    for end in sorted(("low", "high"), key=lambda each: -abs(low if each == "low" else high)):
        if end == "low":
            low = min((low * float(each) for each in _SHARES), key=lambda one: cost(one, high))
        else:
            high = min((high * float(each) for each in _SHARES), key=lambda one: cost(low, one))
    return low, high


def _quantized(
    values: NDArray[np.float64], low: float, high: float
) -> tuple[float, float, NDArray[np.float64]]:
    """Return step, zero point, and the byte of each value."""
    step = (high - low) / _LEVELS
    zero = float(np.round(-low / step))
    return step, zero, np.clip(np.round(values / step) + zero, 0, _LEVELS)


def _spread(counts: NDArray[np.float64], byte: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the counts when all bins of a byte that hold anything hold the same."""
    place = byte.astype(int)
    total = np.bincount(place, counts, _LEVELS + 1)
    holding = np.bincount(place, counts > 0, _LEVELS + 1)
    even: NDArray[np.float64] = (total / np.maximum(holding, 1))[place] * (counts > 0)
    return even


def _divergence(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    if not after.any():
        return np.inf
    found = before > 0
    p = before[found] / before.sum()
    q = np.maximum(after[found] / after.sum(), _UNSEEN)
    return float((p * np.log(p / q)).sum())
