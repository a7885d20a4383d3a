"""Ranges of activations other than from the smallest value to the largest.

Some are tied to the function that follows, some are symmetric: their zero point is 0, and they
reach as far below as above.
"""

from typing import Any

import torch
from torch import Tensor
from torchao.quantization.pt2e import MovingAverageMinMaxObserver

KNEE = 3.0
"""Hard-swish is 0 below minus this, and its argument above this."""


class RangeObserver(MovingAverageMinMaxObserver):  # type: ignore[misc]
    """The range from the smallest value to the largest, a moving average over the steps.

    Parts of a concatenation share one range, and are seen one after another: in a step the widest
    counts. torchao's own averages over the parts, and comes to rest at the mean of their ranges.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._before: tuple[Tensor, Tensor] | None = None
        self._seen: tuple[Tensor, Tensor] | None = None

    def start_step(self) -> None:
        """Begin another step: what is seen from now on moves the range that there is."""
        self._before = self._seen = None

    def forward(self, x_orig: Tensor) -> Tensor:
        """Widen or narrow the range by what is seen, and return it as it is."""
        if not x_orig.numel():
            return x_orig
        low, high = torch.aminmax(x_orig.detach().to(self.min_val.dtype))
        if self._before is None or self._seen is None:
            self._before = self.min_val.clone(), self.max_val.clone()
        else:
            low, high = torch.minimum(low, self._seen[0]), torch.maximum(high, self._seen[1])
        self._seen = low, high
        for bound, before, seen in zip(
            (self.min_val, self.max_val), self._before, (low, high), strict=True
        ):
            is_first = bool(before.isinf())
            bound.copy_(seen if is_first else before + self.averaging_constant * (seen - before))
        return x_orig


class SwishObserver(RangeObserver):
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


class SymmetricObserver(RangeObserver):
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
