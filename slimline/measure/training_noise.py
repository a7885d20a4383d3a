"""How much accuracy varies when nothing but the seed of training changes.

No test set shows it: two models of the same settings, trained with other seeds or on another type
of CPU, differ by more than what chance does to the images that they are scored on.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from slimline import files
from slimline.measure import significance
from slimline.measure.variant_figures import ResultsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FEWEST_SEEDS = 3
"""Of fewer, their spread says nearly nothing."""

SEED = "seed"
_IDLE = ("gates.", "benchmark.", "progress.", "search.", "prune_control.", "targets")
"""Sections that change no answer of the product.

The two scans, `sensitivity` and `int8_sensitivity`, are none: `prune.rates: auto` and
`quantization.mixed.max_drop` rest on them.
"""


@dataclass(frozen=True)
class TrainingNoise:
    """The spread of the product's accuracy over seeds, all else alike."""

    seeds: int
    mean: float
    """Percent of the test images."""
    deviation: float
    """Standard deviation of one training, points."""
    settings: str = ""
    """SHA-256 of the settings that it was measured with, see `settings_digest`."""

    def is_of(self, *given: Mapping[str, Any]) -> bool:
        """Return whether it was measured with one of the settings given, flat params."""
        return self.settings in map(settings_digest, given)

    def of_difference(self, sure: float) -> float:
        """Return what two trainings of one setting differ by at most with `sure`, points.

        By Student's t for the number of seeds that the deviation was measured with.
        """
        return significance.student(sure, self.seeds - 1) * sqrt(2) * self.deviation

    def hidden(self, sure: float) -> float:
        """Return the loss below which two trainings do not show it in 8 of 10 cases, points.

        However many images there are; `significance.detectable` is the same for images.
        """
        z = significance.student(sure, self.seeds - 1) + significance.quantile(significance.POWER)
        return z * sqrt(2) * self.deviation


@dataclass(frozen=True)
class Difference:
    """How two settings differ, by their means over seeds; points, bounds of a 95 % interval.

    Infinite where the seeds of either setting all answer alike: then no noise was seen.
    """

    points: float
    low: float
    high: float

    @property
    def is_beyond_noise(self) -> bool:
        """Whether another set of seeds would hardly turn it round."""
        return not self.low <= 0 <= self.high


def deviation(top1: Sequence[float]) -> float:
    """Return the standard deviation of one training, points, from the accuracies of several."""
    if len(set(top1)) == 1:
        return 0.0  # the mean of equal numbers may be off by their last digit
    return float(np.std(top1, ddof=1))


def compare(before: Sequence[float], after: Sequence[float]) -> Difference:
    """Return the difference of two settings' mean accuracies (Welch, Biometrika 34, 1947)."""
    gain = float(np.mean(after) - np.mean(before))
    shares = [deviation(each) ** 2 / len(each) for each in (before, after)]
    error = sqrt(sum(shares))
    if error == 0:
        return Difference(gain, -inf, inf)
    weights = [share**2 / (len(e) - 1) for share, e in zip(shares, (before, after), strict=True)]
    degrees = max(1, int(sum(shares) ** 2 / sum(weights)))
    half = significance.student(significance.SURE_95, degrees) * error
    return Difference(gain, gain - half, gain + half)


def of(top1: Sequence[float], settings: Mapping[str, Any]) -> TrainingNoise:
    """Return the noise by the test accuracies of trainings that differ in their seed alone.

    `settings` are the flat params that they have in common.
    """
    digest = settings_digest(settings)
    return TrainingNoise(len(top1), float(np.mean(top1)), deviation(top1), digest)


def that_train(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of flat params that decide what is trained, but for the seed."""
    return {key: value for key, value in given.items() if key != SEED and not key.startswith(_IDLE)}


def settings_digest(given: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the flat params that decide what is trained, but for the seed."""
    text = repr(sorted(that_train(given).items()))
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, noise: TrainingNoise) -> None:
    """Write the spread as JSON, which git keeps."""
    files.write_json(path, asdict(noise))


def read(path: Path) -> TrainingNoise | None:
    """Return what `write` wrote, None where it was never measured.

    Raises:
        ResultsError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        noise = TrainingNoise(**files.read_json(path))
        is_known = noise.seeds >= FEWEST_SEEDS and 0 < noise.deviation < inf
    except (TypeError, ValueError) as error:
        raise ResultsError(
            f"{path}: is not what `python -m slimline seeds --write` writes: {error}"
        ) from None
    if not is_known:  # NaN is not
        raise ResultsError(f"{path}: needs {FEWEST_SEEDS} seeds and a deviation above 0")
    return noise
