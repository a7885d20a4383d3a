"""Latency with its noise: what the times of single blocks say, all variants in turns.

`metrics/benchmark/blocks.tsv` has a column for each variant and a row for each block: the median
time of one image in that block, ms.
"""

from math import inf, isinf, isqrt, log, sqrt
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slimline import files
from slimline.measure import significance
from slimline.measure.variant_figures import ResultsError

Times: TypeAlias = NDArray[np.float64]
"""[blocks], ms."""

_FEWEST_BATCHES = 6
"""Of fewer values no two bound their median as surely as 97.5 %."""


def read(path: Path) -> dict[str, Times]:
    """Return the times of each variant.

    Raises:
        ResultsError: the file is damaged, as after a merge with conflicts.
    """
    try:
        rows = files.read_table(path)
        found = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
        if not all(np.all((times > 0) & np.isfinite(times)) for times in found.values()):
            raise ValueError("a time is no positive number")
        return found
    except (IndexError, ValueError) as error:
        raise ResultsError(f"{path}: is no table of times: {error}; run `dvc repro`") from None


def speedup_bounds(reference: Times, times: Times, sure: float) -> tuple[float, float]:
    """Return the bounds of how many times faster than the reference, by the blocks' ratios."""
    return significance.median_bounds(reference / times, sure)


def time_bounds(times: Times, sure: float) -> tuple[float, float]:
    """Return the bounds of the median time itself, ms.

    Unlike ratios of one block, times of neighbouring blocks are alike: a machine is slow for a
    while. So neighbours are taken together, and the bounds are of the medians of these batches
    (batch means; Flegal and Jones, Annals of Statistics 38, 2010, 1034-1070), which hardly depend
    on each other.
    """
    count = min(len(times), max(_FEWEST_BATCHES, isqrt(len(times))))
    batches = np.array_split(times, count)
    return significance.median_bounds(np.array([np.median(each) for each in batches]), sure)


def noise(reference: Times, times: Times) -> float:
    """Return percent by which the ratio of two models may be off: half its 95 % interval.

    Infinite where there are too few blocks. At 3, a change of 5 % is found in about 90 % of runs:
    the interval is then 2 times 1.96 standard errors wide, and 5 is 1.96 + 1.28 of them.
    """
    low, high = speedup_bounds(reference, times, significance.SURE_95)
    return inf if isinf(high) else 100 * (high - low) / (high + low)


def slowdown_in_turns(before: Times, after: Times, sure: float) -> tuple[float, float, float]:
    """Return percent more time per image, with its bounds, of two models timed in one process."""
    low, high = significance.median_bounds(after / before, sure)
    value = float(np.median(after / before))
    return 100 * (value - 1), 100 * (max(low, 0.0) - 1), 100 * (high - 1)


def slowdown(
    before: tuple[Times, Times], after: tuple[Times, Times], sure: float
) -> tuple[float, float, float]:
    """Return percent more time per image, with its bounds, of two runs on one CPU.

    Each run gives the times of the same reference and of what is compared: how fast the machine is
    on that day cancels. The bounds of the ratio of two independent ratios are put together from
    those of each (MOVER on logarithms; Zou and Donner, Statistics in Medicine 27, 2008). They hold
    what varies from turn to turn, not what one day's machine changes for one model and not for
    another.
    """
    old, old_low, old_high = _log_speedup(*before, sure)
    new, new_low, new_high = _log_speedup(*after, sure)
    slower = old - new
    low = slower - sqrt((old - old_low) ** 2 + (new_high - new) ** 2)
    high = slower + sqrt((old_high - old) ** 2 + (new - new_low) ** 2)
    return _percent(slower), _percent(low), _percent(high)


def _log_speedup(reference: Times, times: Times, sure: float) -> tuple[float, float, float]:
    ratio = float(np.median(reference / times))
    low, high = speedup_bounds(reference, times, sure)
    return log(ratio), log(low) if low > 0 else -inf, log(high)


def _percent(logarithm: float) -> float:
    return 100 * (float(np.exp(logarithm)) - 1)
