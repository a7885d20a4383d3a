"""What stands in a flow of channels where there are no numbers of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Opaque:
    """What cannot be followed; `origin` is the node behind which it cannot."""

    def __init__(self, origin: str = "") -> None:
        self.origin = origin


class Constant(Opaque):
    """A weight of the network that no layer has, or what is made of such, or of nothing."""

    def __init__(self, is_scalar: bool) -> None:
        super().__init__()
        self.is_scalar = is_scalar


class OfHeads(Opaque):
    """What attention answers besides, as its weights: whoever reads it needs all heads."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = numbers
