"""What all pruning methods share: the settings, and what a method must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from slimline.core.params import Params
from slimline.core.recipe import DistilledRecipe

if TYPE_CHECKING:
    from torch import Tensor, nn


class PruneSettings(Params, ABC):
    """Section `prune`; every method has the same keys, so that changing the method is one word."""

    threshold: Annotated[float, Field(ge=0, le=0.9)]
    """Share of each layer's summed magnitude that the removed parts held together. Because it is
    relative to the layer, it means the same in every layer; 0 removes nothing."""

    steps: Annotated[int, Field(ge=1, le=100)]
    """Rounds of cutting and recovering on the way to the threshold."""

    channel_multiple: Annotated[int, Field(ge=1, le=256)]
    """Widths are rounded to the nearest multiple of this, which kernels like (decision 6)."""

    recover: DistilledRecipe
    """Fine-tuning after each round; the teacher is the model before pruning."""

    @abstractmethod
    def cut(self, network: nn.Module, example: Tensor, share: float) -> None:
        """Remove in place what holds together at most `share` of each layer's magnitude.

        `example` is an input of the network, float32 [batch, channels, height, width].
        """
