"""Random changes of training images: the settings, and torchvision's transforms that do it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from slimline.params import Params

if TYPE_CHECKING:
    from torchvision.transforms import v2


class Augment(Params):
    """Random changes of training images, in this order; 0, false or 1 turns one off."""

    crop: Annotated[float, Field(gt=0, le=1)]
    """Smallest share of an image's area that is cut out and resized to the frame; 1: no cut."""

    flip: bool
    """Mirror half of the images left to right."""

    shift: Annotated[int, Field(ge=0, le=64)]
    """Move an image by up to this many pixels in each direction; the border is filled with 0."""

    color: Annotated[float, Field(ge=0, le=1)]
    """Change brightness, contrast and saturation by up to this share."""

    randaugment: Annotated[int, Field(ge=0, le=30)]
    """Magnitude of two changes that RandAugment chooses (Cubuk et al., 2019, arXiv:1909.13719)."""

    mixup: Annotated[float, Field(ge=0, le=10)]
    """Alpha of the share at which two images are mixed (Zhang et al., 2017, arXiv:1710.09412)."""

    cutmix: Annotated[float, Field(ge=0, le=10)]
    """Alpha of the share that is pasted from another image (Yun et al., 2019, arXiv:1905.04899).
    With mixup, each batch takes one of both."""


_LONGEST = 4 / 3
"""Of a cut's sides, one by the other, at most."""


def least_size(augment: Augment, size: int) -> int:
    """Return the size, pixels, of an image whose smallest cut has sides of `size` pixels."""
    return math.ceil(size * math.sqrt(_LONGEST / augment.crop))


def of_image(augment: Augment, size: tuple[int, int]) -> v2.Transform:
    """Return what is done to an image, uint8 [channels, height, width]."""
    from torchvision.transforms import v2

    steps: list[v2.Transform] = [v2.Identity()]
    if augment.crop < 1:
        steps.append(
            v2.RandomResizedCrop(
                size, scale=(augment.crop, 1), ratio=(1 / _LONGEST, _LONGEST), antialias=True
            )
        )
    if augment.flip:
        steps.append(v2.RandomHorizontalFlip())
    if augment.shift:
        steps.append(v2.RandomCrop(size, padding=augment.shift))
    if augment.color:
        strength = augment.color
        steps.append(v2.ColorJitter(brightness=strength, contrast=strength, saturation=strength))
    if augment.randaugment:
        steps.append(v2.RandAugment(magnitude=augment.randaugment))
    return v2.Compose(steps)


def of_batch(augment: Augment, num_classes: int) -> v2.Transform | None:
    """Return what is done to a batch, if anything."""
    from torchvision.transforms import v2

    mixes: list[v2.Transform] = []
    if augment.mixup:
        mixes.append(v2.MixUp(alpha=augment.mixup, num_classes=num_classes))
    if augment.cutmix:
        mixes.append(v2.CutMix(alpha=augment.cutmix, num_classes=num_classes))
    return v2.RandomChoice(mixes) if mixes else None
