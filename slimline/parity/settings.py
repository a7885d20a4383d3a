"""How far the int8 product may differ from what was trained. Free of torch."""

from typing import Annotated

from pydantic import Field

from slimline.params import Params


class ParityBounds(Params):
    """Part of section `int8_export`; measured on the validation split.

    Whether the file is what was trained needs no setting: `slimline.parity.layer_parity`.
    """

    max_top1_difference: Annotated[float, Field(ge=0, le=100)]
    """Percentage points of accuracy, either way, that rounding may cost; broken where more is
    proven, with the noise of so many images."""
