"""How often a model is right, and how sure that figure is."""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_Z95 = 1.959964
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Accuracy:
    """Raw counts on a split, against labels and against a reference model."""

    count: int
    correct: int
    agreeing: int
    """Images with the same top-1 as the reference."""
    loss: float
    """Mean cross-entropy, natural logarithm."""

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
        """95 % interval of `top1`, percent (Wilson, 1927): right also near 0 and 100."""
        share, n, z = self.correct / self.count, self.count, _Z95
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def score(
    logits: NDArray[np.float32], labels: NDArray[np.int64], reference: NDArray[np.int64]
) -> Accuracy:
    """Return the counts for logits [count, classes]; `reference` has one class per image."""
    answers = logits.argmax(1)
    exact = logits.astype(np.float64)
    shifted = exact - exact.max(1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return Accuracy(
        count=len(labels),
        correct=int((answers == labels).sum()),
        agreeing=int((answers == reference).sum()),
        loss=float(-log_share[np.arange(len(labels)), labels].mean()),
    )


def format_predictions(answers: NDArray[np.int64]) -> str:
    """Return one class index per line, in the order of the split."""
    return "".join(f"{answer}\n" for answer in answers.tolist())


def read_predictions(path: Path) -> NDArray[np.int64]:
    """Return the class indices that `format_predictions` wrote."""
    return np.array(path.read_text(encoding="utf-8").split(), np.int64)
