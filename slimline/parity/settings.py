"""How far the int8 product may differ from what was trained. Free of torch."""

from typing import Annotated

from pydantic import Field

from slimline.params import Params


class ParityBounds(Params):
    """Part of section `int8_export`; measured on the validation split."""

    min_agreement: Annotated[float, Field(ge=0, le=100)]
    """Percent of images with the same top-1, the file run as it is written: is it what was trained?
    Broken where less is proven, with the noise of so many images."""

    min_agreement_optimised: Annotated[float, Field(ge=0, le=100)]
    """The same for the file as ONNX Runtime optimises it, whose kernels break ties elsewhere."""

    max_top1_difference: Annotated[float, Field(ge=0, le=100)]
    """Percentage points of accuracy, either way; broken where more is proven."""

    max_logit_difference: Annotated[float, Field(ge=0, le=100)]
    """The largest difference of any logit, the file run as it is written, in percent of the spread
    from the smallest to the largest logit."""

    max_logit_difference_optimised: Annotated[float, Field(ge=0, le=100)]
    """The same for the file as ONNX Runtime optimises it."""
