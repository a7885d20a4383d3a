"""How a network does: a score on a split, and the learning curve that scores make."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from slimline.training.settings import Selection


@dataclass(frozen=True)
class HistoryRow:
    """A line of a learning curve."""

    phase: str
    step: int
    epoch: float
    learning_rate: float
    train_loss: float
    """Mean since the last row."""
    validation_loss: float
    validation_top1: float
    """Percent."""
    validation_mean_recall: float
    """Percent: the mean over classes, each as if it had as many images as any other."""
    images: int = 0
    """Training images since the phase began, an image counted each time that it is seen."""

    def to_dict(self) -> dict[str, Any]:
        """Return the columns of the tsv."""
        return asdict(self)


@dataclass(frozen=True)
class Score:
    """How a network does on a split."""

    top1: float
    """Percent."""
    loss: float
    """Mean cross-entropy, natural logarithm."""
    mean_recall: float
    """Percent: the mean over classes, each as if it had as many images as any other."""

    def rank(self, by: Selection) -> tuple[float, float]:
        """Return what makes a state better than another."""
        if by == "loss":
            return -self.loss, self.top1
        return self.percent(by), -self.loss

    def percent(self, by: Selection) -> float:
        """Return the figure that is selected by; of a loss, which is no percentage, top-1."""
        return self.mean_recall if by == "mean_recall" else self.top1


UNTRAINED = Score(top1=-math.inf, loss=math.inf, mean_recall=-math.inf)
"""Of a network whose weights are random: whatever training does is better."""
