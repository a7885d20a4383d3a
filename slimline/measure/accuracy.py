"""How often a model is right, and how sure that figure is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimline.errors import ArtifactError
from slimline.measure import significance, softmax

_BINS = 15
"""Of equal width, over shares from 0 to 1."""


@dataclass(frozen=True)
class Accuracy:
    """Raw counts on a split, against labels and against a reference model."""

    count: int
    correct: int
    agreeing: int
    """Images with the same top-1 as the reference."""
    loss: float
    """Mean cross-entropy, natural logarithm."""
    calibration_error: float
    """Expected calibration error, as a share; see `expected_calibration_error`."""
    by_class: Sequence[tuple[int, int]] = ()
    """Images answered right, and images, of each class that there are images of."""

    @property
    def recalls(self) -> list[float]:
        """Percent of the images of each class that are answered right."""
        return [100 * right / count for right, count in self.by_class]

    @property
    def mean_recall(self) -> float:
        """Percent: the mean over classes, each as if it had as many images as any other."""
        return sum(self.recalls) / len(self.by_class)

    @property
    def least_recall(self) -> float:
        """Percent, of the class that is recognised least."""
        return min(self.recalls)

    @property
    def top1(self) -> float:
        """Percent of images whose first answer is right."""
        return 100 * self.correct / self.count

    @property
    def agreement(self) -> float:
        """Percent of images with the same first answer as the reference."""
        return 100 * self.agreeing / self.count

    @property
    def top1_interval(self) -> tuple[float, float]:
        """95 % interval of `top1`, percent."""
        low, high = significance.wilson(self.correct, self.count, significance.SURE_95)
        return 100 * low, 100 * high

    @property
    def ece(self) -> float:
        """Percentage points by which the model's own certainty misses how often it is right."""
        return 100 * self.calibration_error


def require_numbers(logits: NDArray[np.float32], model: Path) -> None:
    """Raise if some of a model's logits [count, classes] are no finite numbers.

    Raises:
        ArtifactError: they are not.
    """
    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if broken:
        raise ArtifactError(
            f"{model}: the logits of {broken:,} of {len(logits):,} images are infinite or no "
            "numbers (NaN); look for values that overflow: pixels that are not normalised, layers "
            "without normalisation, weights of a training that diverged"
        )


def score(
    logits: NDArray[np.float32], labels: NDArray[np.int64], reference: NDArray[np.int64]
) -> Accuracy:
    """Return the counts for logits [count, classes]; `reference` has one class per image."""
    answers = logits.argmax(1)
    log_share = softmax.log_shares(logits)
    return Accuracy(
        count=len(labels),
        correct=int((answers == labels).sum()),
        agreeing=int((answers == reference).sum()),
        loss=float(-log_share[np.arange(len(labels)), labels].mean()),
        calibration_error=expected_calibration_error(
            softmax.largest_share(logits), answers == labels
        ),
        by_class=count_by_class(answers == labels, labels),
    )


def count_by_class(is_right: NDArray[np.bool_], labels: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return images answered right, and images, of each class that there are images of.

    Both arguments are [images]; classes come in the order of their number.
    """
    counts = np.bincount(labels)
    right = np.bincount(labels[is_right], minlength=len(counts))
    return [(int(right[each]), int(counts[each])) for each in np.flatnonzero(counts)]


def mean_recall_bounds(by_class: Sequence[tuple[int, int]], sure: float) -> tuple[float, float]:
    """Return bounds of the mean recall, percent, for a decision that must not err more often.

    Classes are independent samples, so half the widths of their own intervals add up by their
    squares (Zou and Donner, Statistics in Medicine 27, 2008, 1693-1702). The intervals are those of
    Clopper and Pearson, which know that 3 of 3 images are no certainty; on neither side does one
    count for less than half its length, or classes that happen to be all right would make the bound
    of many small ones too narrow (`benchmarks/gate_noise.py`).
    """
    recalls = [right / count for right, count in by_class]
    bounds = [significance.clopper_pearson(right, count, sure) for right, count in by_class]
    below, above = 0.0, 0.0
    for share, (low, high) in zip(recalls, bounds, strict=True):
        half = (high - low) / 2
        below += max(share - low, half) ** 2
        above += max(high - share, half) ** 2
    mean, number = sum(recalls) / len(recalls), len(recalls)
    return (
        100 * max(mean - sqrt(below) / number, 0.0),
        100 * min(mean + sqrt(above) / number, 1.0),
    )


def expected_calibration_error(
    certainty: NDArray[np.float64], is_right: NDArray[np.bool_]
) -> float:
    """Return the mean distance of certainty and accuracy, weighted by the images of each bin.

    `certainty` [count] is the share of the softmax of the answer. Guo et al., On Calibration of
    Modern Neural Networks, 2017: 15 bins of equal width, each closed above.
    """
    bins = np.clip(np.ceil(certainty * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    # The sums of certainty minus those of right answers are already times the images of a bin.
    distances = np.bincount(bins, weights=certainty - is_right, minlength=_BINS)
    return float(np.abs(distances).sum() / len(certainty))


def format_predictions(answers: NDArray[np.int64]) -> str:
    """Return one class index per line, in the order of the split."""
    return "".join(f"{answer}\n" for answer in answers.tolist())


def read_predictions(path: Path) -> NDArray[np.int64]:
    """Return the class indices that `format_predictions` wrote."""
    return np.array(path.read_text(encoding="utf-8").split(), np.int64)
