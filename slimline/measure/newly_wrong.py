"""Test images that the reference answers right and a variant does not, small enough for git."""

from __future__ import annotations

import base64
import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from slimline.measure import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from slimline.data.split_files import Split

_MOST = 24
"""Images: as many as a person looks at."""
_SIDE = 48
"""Longest side, pixels."""
_COLOURS = 32
"""Of a coloured thumbnail: photos take a quarter of the bytes."""
_BUDGET = 40_000
"""Characters of all images of a variant; they are in git, anew with each run."""


@dataclass(frozen=True)
class NewlyWrong:
    """One image, and what it was taken for."""

    row: int
    """Its place in the test split, from 0."""
    label: int
    """What it is, an index into the classes."""
    before: int
    """The reference's answer, which is right."""
    after: int
    """The variant's answer."""
    certainty: float
    """Percent of the softmax that the variant gives its answer."""
    png: str
    """The image as a PNG in base64."""


def find(
    split: Split, logits: NDArray[np.float32], reference: NDArray[np.int64]
) -> list[NewlyWrong]:
    """Return the images, the most certain mistakes first, as many as there is room for.

    `logits` [count, classes] are the variant's, `reference` [count] the answers compared with.
    """
    # Rounded as it is written, so that float noise orders nothing.
    answers = logits.argmax(1)
    certainty = (100 * softmax.largest_share(logits)).round(2)
    wrong = np.flatnonzero((reference == split.labels) & (answers != split.labels))
    chosen = wrong[np.argsort(-certainty[wrong], kind="stable")][:_MOST].tolist()
    found, size = [], 0
    for row in chosen:
        png = _png(split.images[[row]][0])
        size += len(png)
        if size > _BUDGET:
            break
        classes = int(split.labels[row]), int(reference[row]), int(answers[row])
        found.append(NewlyWrong(row, *classes, float(certainty[row]), png))
    return found


def to_dict(found: Sequence[NewlyWrong]) -> dict[str, Any]:
    """Return the content of `metrics/newly_wrong/<variant>.json`."""
    return {"images": [asdict(each) for each in found]}


def from_dict(content: dict[str, Any]) -> list[NewlyWrong]:
    """Return the images that `to_dict` described."""
    return [NewlyWrong(**each) for each in content["images"]]


def _png(pixels: NDArray[np.uint8]) -> str:
    """Return uint8 [height, width, channels] as a small PNG in base64."""
    grey = pixels.shape[-1] == 1
    image = Image.fromarray(pixels[:, :, 0] if grey else pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    if not grey:
        image = image.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
