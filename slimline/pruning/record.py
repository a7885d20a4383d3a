"""What pruning did, round by round and layer by layer: kept in a pruned model's `model.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slimline.pruning.whole_layers import WholeLayer


@dataclass(frozen=True)
class Round:
    """What one round did; round 0 is the model as it came. Accuracy is of the validation split."""

    number: int
    threshold: float
    """In the unit of the settings; found, where there was a target."""
    params: int
    macs_m: float
    sparsity: float
    """Percent of the weights that are exactly 0."""
    top1_cut: float
    """Percent, before recovery, with BatchNorm statistics recomputed."""
    top1_recovered: float
    """Percent."""
    is_kept: bool
    """False where accuracy fell below what `max_drop` allows, and the round was undone."""
    mean_recall_cut: float | None = None
    """Percent, as `top1_cut`; None in folders from before it was measured."""
    mean_recall_recovered: float | None = None
    """Percent, as `top1_recovered`."""
    judged_by: str = "top1"
    """What `max_drop` was held against: top1 or mean_recall."""

    @property
    def judged(self) -> tuple[float, float]:
        """The figure that `max_drop` was held against, percent: after the cut, and recovered."""
        if self.judged_by == "mean_recall":
            assert self.mean_recall_cut is not None
            assert self.mean_recall_recovered is not None
            return self.mean_recall_cut, self.mean_recall_recovered
        return self.top1_cut, self.top1_recovered

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class LayerChange:
    """A convolution or linear layer before and after pruning; raw counts."""

    layer: str
    channels_before: int
    channels_after: int
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    zeros_before: int
    zeros_after: int

    @property
    def macs_share(self) -> float:
        """Percent of the multiply-accumulates that are left."""
        return 100 * self.macs_after / self.macs_before

    @property
    def sparsity(self) -> float:
        """Percent of the parameters left that are zero weights."""
        return 100 * self.zeros_after / self.params_after

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


def kept_rounds(description: Mapping[str, Any]) -> int:
    """Return how many rounds a pruned model has behind it; those that were undone do not count."""
    return sum(each.is_kept for each in rounds(description)) - 1  # round 0 cuts nothing


def rounds(description: Mapping[str, Any]) -> list[Round]:
    """Return the rounds in a pruned model's `model.json`."""
    return [Round(**each) for each in description["rounds"]]


def whole(description: Mapping[str, Any]) -> list[WholeLayer]:
    """Return the layers that had to stay whole; none in folders from before they were recorded."""
    return [WholeLayer(**each) for each in description.get("whole", [])]


def layers(description: Mapping[str, Any]) -> list[LayerChange]:
    """Return the layers in a pruned model's `model.json`."""
    return [LayerChange(**each) for each in description["layers"]]
