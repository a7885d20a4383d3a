"""What pruning did, round by round and layer by layer: kept in a pruned model's `model.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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


def rounds(description: Mapping[str, Any]) -> list[Round]:
    """Return the rounds in a pruned model's `model.json`."""
    return [Round(**each) for each in description["rounds"]]


def layers(description: Mapping[str, Any]) -> list[LayerChange]:
    """Return the layers in a pruned model's `model.json`."""
    return [LayerChange(**each) for each in description["layers"]]
