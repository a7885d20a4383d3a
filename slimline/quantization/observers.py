"""Ranges of activations other than from the smallest value to the largest.

Some are tied to the function that follows, some are symmetric: their zero point is 0, and they
reach as far below as above.
"""

import torch
from torch import Tensor
from torchao.quantization.pt2e import MovingAverageMinMaxObserver

KNEE = 3.0
"""Hard-swish is 0 below minus this, and its argument above this."""


class SwishObserver(MovingAverageMinMaxObserver):  # type: ignore[misc]
    """The range of what a hard-swish and others read: from -3 or below, in steps of 3 / k.

    So -3, 0 and 3 each have a byte, which `slimline.targets.onnxruntime.passes.hard_swish` needs.
    """

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Return scale, float32 [1], and zero point, int32 [1].

        k is as large as the range allows, and 1 at least: enough for a range of 762.
        """
        levels = self.quant_max - self.quant_min
        bottom, top = self._bottom().clamp(max=-KNEE), self.max_val.reshape(1).clamp(min=0)
        steps = ((levels - 1) * KNEE / (top - bottom)).floor().clamp(min=1)
        below = (-bottom * steps / KNEE).ceil().clamp(max=levels)
        return KNEE / steps, (self.quant_min + below).to(torch.int32)

    def _bottom(self) -> Tensor:
        bottom: Tensor = self.min_val.reshape(1)
        return bottom


class OnlySwishObserver(SwishObserver):
    """The range of what nothing but hard-swishes read: from -3, below which they are 0.

    Nothing is lost there, and the steps are finer than those of a range down to the smallest value.
    """

    def _bottom(self) -> Tensor:
        return torch.full_like(self.max_val.reshape(1), -KNEE)


class SymmetricObserver(MovingAverageMinMaxObserver):  # type: ignore[misc]
    """The largest absolute value is byte 127; -128 is left to rounding."""

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Return scale, float32 [1], and zero point, int32 [1], which is 0."""
        farthest = torch.maximum(self.min_val.abs(), self.max_val.abs()).reshape(1)
        scale = torch.maximum(farthest / self.quant_max, self.eps)
        return scale, torch.zeros_like(scale, dtype=torch.int32)


class SymmetricSwishObserver(SwishObserver):
    """The symmetric range of what a hard-swish and others read, in steps of 3 / k."""

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Return scale, float32 [1], and zero point, int32 [1], which is 0.

        k is as large as the range allows, and 1 at least: enough for values of 381.
        """
        farthest = torch.maximum(-self._bottom(), self.max_val.reshape(1)).clamp(min=KNEE)
        steps = (self.quant_max * KNEE / farthest).floor().clamp(min=1)
        return KNEE / steps, torch.zeros_like(steps, dtype=torch.int32)


class SymmetricOnlySwishObserver(SymmetricSwishObserver, OnlySwishObserver):
    """The same of what nothing but hard-swishes read: below -3 nothing counts."""
