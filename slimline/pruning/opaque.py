"""What stands in a flow of channels where there are no numbers of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Opaque:
    """What cannot be followed."""


class Constant(Opaque):
    """A weight of the network that no layer has, or what is made of such, or of nothing."""

    def __init__(self, is_scalar: bool) -> None:
        self.is_scalar = is_scalar


class OfHeads(Opaque):
    """What attention answers besides, as its weights: whoever reads it needs all heads."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers


OPAQUE = Opaque()
