"""Does the int8 file answer as fake-quant did? All validation images, as written and optimised.

Whether the file is what was trained is judged by layers (`slimline.parity.layer_parity`), on images
that are chosen here: the first, and those whose logits differ most. If all layers of these agree to
the last rounding, so does the file, and what is left at the end is rounding that a deep network
carries on: few answers or many, by how close its answers are to ties.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.measure.paired_answers import Paired
from slimline.measure.significance import SURE_95

Logits = NDArray[np.float32]
"""[count, classes]"""

_FIRST, _WORST = 30, 10
"""Images that are looked into: of any, and of those that differ most in each way of running."""


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
    """Of any logit, the file run as ONNX Runtime optimises it."""
    largest_difference_written: float
    """The same, every operator run as it is written."""
    spread: float
    """From the smallest to the largest logit of fake-quant."""
    images: int
    """How many there were."""
    won: int
    """Images that int8, optimised by ONNX Runtime, answers right and fake-quant does not."""
    lost: int
    """Images that fake-quant answers right, and int8 so run does not."""

    @property
    def least_top1_difference(self) -> float:
        """Percentage points that accuracy differs by at least, whatever chance did; 0 if nothing.

        The images that both answer alike cancel; see `slimline.measure.paired_answers`.
        """
        right = round(self.top1_fake_quant / 100 * self.images)
        compared = Paired(self.images, right, right + self.won - self.lost, self.won, self.lost)
        low, high = compared.gain_bounds(SURE_95)
        return max(low, -high, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return dict(vars(self))


def compare(
    fake_quant: Logits, written: Logits, optimised: Logits, labels: NDArray[np.int64]
) -> Parity:
    """Return the comparison of three sets of logits."""
    answers, as_written, own = (each.argmax(1) for each in (fake_quant, written, optimised))
    return Parity(
        agreement=100 * float((answers == own).mean()),
        agreement_written=100 * float((answers == as_written).mean()),
        top1_fake_quant=100 * float((answers == labels).mean()),
        top1_int8=100 * float((own == labels).mean()),
        largest_difference=float(np.abs(fake_quant - optimised).max()),
        largest_difference_written=float(np.abs(fake_quant - written).max()),
        spread=float(np.ptp(fake_quant)),
        images=len(labels),
        won=int(((own == labels) & (answers != labels)).sum()),
        lost=int(((own != labels) & (answers == labels)).sum()),
    )


def to_look_into(fake_quant: Logits, written: Logits, optimised: Logits) -> NDArray[np.int64]:
    """Return which images to compare layer by layer, in order: no fault hides in the others.

    A fault that few images show, as an overflow, moves the logits of those.
    """
    rows = set(range(min(_FIRST, len(fake_quant))))
    for other in (written, optimised):
        differences = np.abs(fake_quant - other).max(1)
        rows |= set(np.argsort(differences, kind="stable")[-_WORST:].tolist())  # NaN is last
    return np.array(sorted(rows), np.int64)


def root_mean_square(fake_quant: Logits, other: Logits) -> float:
    """Return the typical difference of a logit."""
    return float(np.sqrt(np.mean(np.square(fake_quant.astype(np.float64) - other))))
