"""What chance alone can do: bounds and tests, by numpy and the standard library.

`sure` is everywhere how certain one bound by itself is, as a share: 0.975 on both sides makes the
usual 95 % interval, 0.95 the bound of a one-sided decision.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import ceil, cos, exp, inf, lgamma, log, pi, sin, sqrt, tan
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SURE_95 = 0.975
"""Of each bound of a two-sided 95 % interval."""

POWER = 0.8
"""In how many of all cases a difference that is called large enough to be shown is shown."""

_HALVINGS = 40
"""Of an interval of length 1: far below what is printed."""

_NEGLIGIBLE = 1e-18

Key = TypeVar("Key")


def quantile(sure: float) -> float:
    """Return the point that a standard normal variable stays below with probability `sure`."""
    return NormalDist().inv_cdf(sure)


def student(sure: float, degrees: int) -> float:
    """Return the point that Student's t with so many degrees of freedom stays below with `sure`."""
    low, high = 0.0, pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _student_share(middle, degrees) < 2 * sure - 1 else (low, middle)
        )
    return sqrt(degrees) * tan((low + high) / 2)


def _student_share(angle: float, degrees: int) -> float:
    """Return how much of t lies within plus and minus `sqrt(degrees) * tan(angle)`.

    Abramowitz and Stegun, 26.7.3 and 26.7.4: a sum that ends.
    """
    is_odd = degrees % 2
    term = cos(angle) if is_odd else 1.0
    total = 0.0
    for k in range(1 + is_odd, degrees, 2):
        total += term
        term *= cos(angle) ** 2 * k / (k + 1)
    if is_odd:
        return 2 / pi * (angle + sin(angle) * total)
    return sin(angle) * total


def wilson(hits: int, count: int, sure: float) -> tuple[float, float]:
    """Return the bounds of a share of `count`, 0 to 1 (Wilson, 1927): right also near 0 and 1."""
    share, n, z = hits / count, count, quantile(sure)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


@lru_cache(maxsize=4096)
def clopper_pearson(hits: int, count: int, sure: float) -> tuple[float, float]:
    """Return bounds of a share, 0 to 1, for a decision that must not err more often than it says.

    Clopper and Pearson (Biometrika 26, 1934): the shares of which so many hits, or more on that
    side, have a probability of `1 - sure`. Wilson's bounds are right on average, these always.
    """

    def solve(tail_at: Callable[[float], float]) -> float:
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if tail_at(middle) < 1 - sure else (low, middle)
        return (low + high) / 2

    misses = count - hits
    lowest = solve(lambda share: _binomial_tail(misses, count, 1 - share)) if hits else 0.0
    highest = 1 - solve(lambda share: _binomial_tail(hits, count, 1 - share)) if misses else 1.0
    return lowest, highest


def _binomial_tail(hits: int, count: int, share: float) -> float:
    """Return the probability of at most so many hits, each of them of the given share."""
    k = np.arange(1, hits + 1)
    steps = np.log((count - k + 1) / k) + log(share / (1 - share))
    logs = count * log(1 - share) + np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.exp(logs).sum())


def coin_tail(heads: int, tosses: int) -> float:
    """Return the probability of at most so many heads in tosses of a fair coin.

    The last term comes from the logarithm of the gamma function and the others from their ratio to
    it, until they no longer count: no overflow, and about sqrt(tosses) steps.
    """
    if heads < 0:
        return 0.0
    if heads >= tosses:
        return 1.0
    if 2 * heads >= tosses:
        return 1 - coin_tail(tosses - heads - 1, tosses)
    first = lgamma(tosses + 1) - lgamma(heads + 1) - lgamma(tosses - heads + 1)
    term = total = 1.0
    for k in range(heads, 0, -1):
        term *= k / (tosses - k + 1)
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return exp(first - tosses * log(2) + log(total))


def detectable(variance: float, count: int, sure: float) -> float:
    """Return the smallest true difference of a mean that `count` values show, in 8 of 10 cases.

    `variance` is that of one value. The bound at `sure` then lies beyond no difference in 80 % of
    all samples, by the normal approximation (Fleiss, Statistical Methods for Rates and Proportions,
    1981, section 3.3). A difference of shares has a variance of about itself at least, as it takes
    so many values that differ; half a value is for the correction for continuity.
    """
    z = quantile(sure) + quantile(POWER)
    return max(z * sqrt(variance / count), z**2 / count) + 0.5 / count


def images_needed(variance: float, difference: float, sure: float) -> int:
    """Return how many values show a true difference in 8 of 10 cases; the inverse of the above."""
    z = quantile(sure) + quantile(POWER)
    spread = z * sqrt(variance)
    few = (z**2 + 0.5) / difference
    return ceil(max(few, (sqrt(spread**2 + 2 * difference) - spread) ** -2))


def median_bounds(values: NDArray[np.float64], sure: float) -> tuple[float, float]:
    """Return bounds of the median that `values` [count] were drawn around, whatever their spread.

    They are two of the values, chosen by the binomial law of how many lie below the median (Hahn
    and Meeker, Statistical Intervals, 1991, section 5.2). Too few values bound nothing: -inf, inf.
    On which side of the median a value lies must not depend on the others; how far from it may.
    Ratios of times taken in turns (`slimline.measure.interleaved`) are so, times themselves are
    not: a machine that is slow for a while makes the bounds of a time too narrow.
    """
    ordered = np.sort(values)
    rank = -1
    while coin_tail(rank + 1, len(values)) <= 1 - sure:
        rank += 1
    if rank < 0:
        return -inf, inf
    return float(ordered[rank]), float(ordered[-1 - rank])


def beyond_chance(p_values: Mapping[Key, float], sure: float) -> list[Key]:
    """Return the keys whose null hypothesis falls, smallest p first (Holm, 1979).

    The probability that even one of them is there by chance alone is at most `1 - sure`.
    """
    found: list[Key] = []
    for key in sorted(p_values, key=lambda each: p_values[each]):
        if p_values[key] > (1 - sure) / (len(p_values) - len(found)):
            break
        found.append(key)
    return found
