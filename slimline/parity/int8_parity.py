"""Does the int8 file answer as fake-quant did? All validation images, as written and optimised.

Bounds on answers are judged with the noise of the images: they break where more than chance is
against them, so that two odd ties among 300 images stop nobody. Bounds on logits need no such care.
At which layer they part is found by `slimline.parity.layer_parity`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.measure import significance
from slimline.measure.paired import Paired
from slimline.measure.significance import SURE_95
from slimline.parity.settings import ParityBounds

_WRITTEN, _OPTIMISED = "as it is written", "as it is optimised"


@dataclass(frozen=True)
class Broken:
    """A bound of section `int8_export` that does not hold."""

    text: str
    """What was found and what is allowed, without a full stop."""
    optimised: bool
    """Whether by the file as ONNX Runtime optimises it, or already as it is written."""


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
    def top1_difference(self) -> float:
        """Percentage points, without sign."""
        return abs(self.top1_fake_quant - self.top1_int8)

    @property
    def least_top1_difference(self) -> float:
        """Percentage points that accuracy differs by at least, whatever chance did; 0 if nothing.

        The images that both answer alike cancel; see `slimline.measure.paired`.
        """
        right = round(self.top1_fake_quant / 100 * self.images)
        compared = Paired(self.images, right, right + self.won - self.lost, self.won, self.lost)
        low, high = compared.gain_bounds(SURE_95)
        return max(low, -high, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return dict(vars(self))

    def broken(
        self, settings: ParityBounds, *, stage: str = "int8_export", runtime: str = "ONNX Runtime"
    ) -> Broken | None:
        """Return the first bound that does not hold: then the file is not what was trained.

        `stage` and `runtime` are how the text calls what wrote the file and what ran it.
        """
        return next(self._all_broken(settings, stage, runtime), None)

    def _all_broken(self, settings: ParityBounds, stage: str, runtime: str) -> Iterator[Broken]:
        differ = f"{stage}: fake-quant and {runtime}, running the file"
        for how, agreement, key in (
            (_WRITTEN, self.agreement_written, "min_agreement"),
            (_OPTIMISED, self.agreement, "min_agreement_optimised"),
        ):
            bound, most = getattr(settings, key), self._most_agreement(agreement)
            if not most >= bound:
                text = (
                    f"{differ} {how}, give the same top-1 for {agreement:.2f} % of "
                    f"{self.images} validation images, beyond chance no more than {most:.2f} %; "
                    f"int8_export.{key} asks for {bound} %"
                )
                yield Broken(text, how == _OPTIMISED)
        for how, difference, key in (
            (_WRITTEN, self.largest_difference_written, "max_logit_difference"),
            (_OPTIMISED, self.largest_difference, "max_logit_difference_optimised"),
        ):
            bound, share = getattr(settings, key), self._share(difference)
            if not share <= bound:  # NaN is no bound kept
                text = (
                    f"{differ} {how}, differ in a logit of the validation images by {share:.2f} % "
                    f"of the logits' spread; int8_export.{key} allows {bound} %"
                )
                yield Broken(text, how == _OPTIMISED)
        least = self.least_top1_difference
        if not least <= settings.max_top1_difference:
            text = (
                f"{stage}: accuracy on validation is {self.top1_fake_quant:.2f} % in "
                f"fake-quant and {self.top1_int8:.2f} % in {runtime}, beyond chance {least:.2f} "
                f"points apart; int8_export.max_top1_difference allows "
                f"{settings.max_top1_difference} points"
            )
            yield Broken(text, optimised=True)

    def _most_agreement(self, agreement: float) -> float:
        """Return the largest percentage that what was seen on so many images could stem from."""
        agreeing = round(agreement / 100 * self.images)
        return 100 * significance.wilson(agreeing, self.images, SURE_95)[1]

    def _share(self, difference: float) -> float:
        """Return a difference in percent of the spread; without any, none is allowed."""
        if difference == 0:
            return 0.0
        return 100 * difference / self.spread if self.spread else float("inf")


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
        largest_difference_written=float(np.abs(fake_quant - written).max()),
        spread=float(np.ptp(fake_quant)),
        images=len(labels),
        won=int(((own == labels) & (answers != labels)).sum()),
        lost=int(((own != labels) & (answers == labels)).sum()),
    )
