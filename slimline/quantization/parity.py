"""Do two forms of one model give the same answers? Checked wherever a model changes its form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.core.errors import ParityError
from slimline.quantization.settings import Int8ExportParams


@dataclass(frozen=True)
class Parity:
    """How fake-quant in torch and int8 in ONNX Runtime compare on the validation split."""

    agreement: float
    """Percent of images with the same top-1, the file run as ONNX Runtime optimises it."""
    agreement_written: float
    """The same, every operator run as it is written."""
    top1_fake_quant: float
    """Percent."""
    top1_int8: float
    """Percent."""
    largest_difference: float
    """Of any logit."""

    @property
    def top1_difference(self) -> float:
        """Percentage points, without sign."""
        return abs(self.top1_fake_quant - self.top1_int8)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return dict(vars(self))

    def check(self, settings: Int8ExportParams) -> None:
        """Stop an export that does not compute what was trained.

        Raises:
            ParityError: a bound of section `int8_export` is broken.
        """
        bounds = [
            ("as it is written", self.agreement_written, "min_agreement"),
            ("as it is optimised", self.agreement, "min_agreement_optimised"),
        ]
        for how, agreement, key in bounds:
            if agreement < getattr(settings, key):
                raise ParityError(
                    f"int8_export: fake-quant and ONNX Runtime, running the file {how}, give the "
                    f"same top-1 for {agreement:.2f} % of the validation images; "
                    f"int8_export.{key} asks for {getattr(settings, key)} %"
                )
        if self.top1_difference > settings.max_top1_difference:
            raise ParityError(
                f"int8_export: accuracy on validation is {self.top1_fake_quant:.2f} % in "
                f"fake-quant and {self.top1_int8:.2f} % in ONNX Runtime; "
                f"int8_export.max_top1_difference allows {settings.max_top1_difference} points"
            )


def compare(
    fake_quant: NDArray[np.float32],
    written: NDArray[np.float32],
    optimised: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> Parity:
    """Return the comparison of three sets of logits, float32 [count, classes]."""
    answers, as_written, own = (each.argmax(1) for each in (fake_quant, written, optimised))
    return Parity(
        agreement=100 * float((answers == own).mean()),
        agreement_written=100 * float((answers == as_written).mean()),
        top1_fake_quant=100 * float((answers == labels).mean()),
        top1_int8=100 * float((own == labels).mean()),
        largest_difference=float(np.abs(fake_quant - optimised).max()),
    )
