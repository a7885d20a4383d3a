"""Two models on the same images: what one gets right and the other does not.

Images that both answer alike say nothing about which is better; leaving them out finds differences
that two separate intervals hide. The noise is that of the test images. Training again with another
seed has noise of its own, which no test set can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from slimline.measure import significance

_STEPS = 60
"""Halvings of an interval of length 1: far below what is printed."""


@dataclass(frozen=True)
class Paired:
    """Raw counts of a comparison; `before` and `after` are two states of one model, or two models.

    With no image at all nothing is known, and every property says so by its widest value.
    """

    count: int
    correct_before: int
    correct_after: int
    won: int
    """Images that were answered wrong before and are answered right after."""
    lost: int
    """Images that were answered right before and are answered wrong after."""

    @property
    def top1_before(self) -> float:
        """Percent of the images that were answered right."""
        return 100 * self.correct_before / self.count if self.count else 0.0

    @property
    def top1_after(self) -> float:
        """Percent of the images that are answered right now."""
        return 100 * self.correct_after / self.count if self.count else 0.0

    @property
    def gain(self) -> float:
        """Percentage points of top-1 gained; negative is lost."""
        return 100 * (self.won - self.lost) / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Variance of what one image adds to the difference of two models that are equally good.

        That is the share of images that change sides; with one more than was seen, so that two
        models that differ nowhere on a few images are not taken for equal everywhere.
        """
        return (self.won + self.lost + 1) / (self.count + 1)

    @property
    def p_value(self) -> float:
        """Probability of a difference as large as this if both models were equally good.

        McNemar's test (1947) in its exact form, two-sided: each image of `won` and `lost` is then
        the toss of a fair coin.
        """
        return min(1.0, 2 * significance.coin_tail(min(self.won, self.lost), self.won + self.lost))

    def gain_bounds(
        self, sure: float = significance.SURE_95, *, is_cautious: bool = False
    ) -> tuple[float, float]:
        """Return the bounds of `gain`, points, each certain with `sure`.

        Tango's score interval (Statistics in Medicine 17, 1998, 891-908): all differences that the
        score test does not refuse, so that it agrees with McNemar's test. Where only a handful of
        images changed sides, a bound of 97.5 % holds in about 95 % of all cases. A decision that
        must not err more often is cautious: half an image less speaks against each difference
        (Yates' correction for continuity), and the bounds are so much wider.
        """
        if not self.count:
            return -100.0, 100.0
        z, half = significance.quantile(sure), 0.5 if is_cautious else 0.0
        return 100 * self._solve(z, half), 100 * self._solve(-z, -half)

    def _solve(self, score: float, spared: float) -> float:
        """Return the true difference at which the data have this score; it falls as that rises.

        `spared` images are taken off the distance between the data and that difference.
        """
        low, high = -1.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if self._score(middle, spared) > score:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def _score(self, difference: float, spared: float) -> float:
        """Return how many standard deviations the data lie above a true difference, -1 to 1."""
        n, won, lost = self.count, self.won, self.lost
        a = 2 * n
        b = -won - lost + (2 * n - won + lost) * difference
        c = -lost * difference * (1 - difference)
        share_lost = (sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        distance = won - lost - n * difference - spared
        if distance == 0:
            return 0.0
        variance = n * (2 * share_lost + difference * (1 - difference))
        return distance / sqrt(variance) if variance > 0 else copysign(inf, distance)


def compare(
    before: NDArray[np.int64], after: NDArray[np.int64], labels: NDArray[np.int64]
) -> Paired:
    """Return the counts for two predictions [count] of the same images."""
    was_right, is_right = before == labels, after == labels
    return Paired(
        count=len(labels),
        correct_before=int(was_right.sum()),
        correct_after=int(is_right.sum()),
        won=int((~was_right & is_right).sum()),
        lost=int((was_right & ~is_right).sum()),
    )


def by_class(
    before: NDArray[np.int64], after: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int
) -> list[Paired]:
    """Return the counts among the images of each class: `top1` of these is the class's recall."""
    rows = [labels == index for index in range(num_classes)]
    return [compare(before[row], after[row], labels[row]) for row in rows]


def changed_classes(classes: Sequence[Paired], sure: float = significance.SURE_95) -> list[int]:
    """Return the classes whose recall changed beyond chance, the most certain first.

    Corrected for how many classes are looked at (Holm): one wrong name among all of them has a
    probability of at most `2 * (1 - sure)`, as each test has two sides.
    """
    p_values = {index: each.p_value for index, each in enumerate(classes)}
    return significance.beyond_chance(p_values, 1 - 2 * (1 - sure))
