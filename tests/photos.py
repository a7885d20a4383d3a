"""Photos as users have them, made from the embedded images: mixed sizes, kinds and colours."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import toy
from PIL import ExifTags, Image

from slimline.data import idx, split_files, splitting
from slimline.data.raw_set import Part
from slimline.data.split_files import Split

CLASSES = ("boot", "shirt", "trouser")
_LABELS = (9, 0, 1)
PER_CLASS = 30
COUNT = PER_CLASS * len(CLASSES)


def make(folder: Path, per_class: int = PER_CLASS, seed: int = 0) -> Path:
    """Write a folder per class; every third image is a PNG, and no two have the same size.

    Of the JPEGs some are CMYK, some grey, some large, and some lie on their side, which EXIF tells.
    """
    source = _source()
    generator = np.random.default_rng(seed)
    for name, label in zip(CLASSES, _LABELS, strict=True):
        (folder / name).mkdir(parents=True)
        rows = np.flatnonzero(source.labels == label)
        for position in range(per_class):
            size = tuple(generator.integers(40, 120, 2).tolist())
            grey = Image.fromarray(source.images[rows[position % len(rows)]].squeeze())
            tint = Image.new("RGB", size, tuple(generator.integers(0, 256, 3).tolist()))
            photo = Image.blend(grey.resize(size).convert("RGB"), tint, 0.3)
            path = folder / name / f"{name} {position}"
            if position % 3 == 0:
                photo.save(path.with_suffix(".png"))
            else:
                _save_jpeg(photo, path.with_suffix(".jpg"), kind=position % 10)
    return folder


def _save_jpeg(photo: Image.Image, path: Path, kind: int) -> None:
    """Save a photo in one of the ways in which cameras and editors do."""
    exif, quality = Image.Exif(), 75
    if kind == 2:
        photo = photo.convert("CMYK")
    elif kind == 5:
        photo = photo.convert("L")
    elif kind == 7:  # large enough to be decoded small, and noisy enough to be kept so
        photo, quality = _noisy(photo.resize((6 * photo.width, 6 * photo.height))), 98
    elif kind == 8:
        photo = photo.transpose(Image.Transpose.ROTATE_90)
        exif[ExifTags.Base.Orientation] = 6  # to be turned by 90 degrees clockwise
    photo.save(path, exif=exif, quality=quality)


def _noisy(photo: Image.Image) -> Image.Image:
    """Return a photo with what a camera adds in the dark."""
    pixels = np.asarray(photo, np.float32)
    noise = np.random.default_rng(pixels.shape[0]).normal(0, 30, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


@functools.lru_cache
def _source() -> Part:
    """Return the embedded test images."""
    test = idx.read(toy.ROOT / "data" / "raw" / "fashion_mnist").test
    assert test is not None
    return test


def prepare(raw: Path, *, make: bool = True, seed: int = 1, **changes: Any) -> dict[str, Split]:
    """Return the splits of photos under `raw`; their digests as if they were saved."""
    if make:
        globals()["make"](raw / "photos")
    settings = toy.DATA.model_copy(
        update={
            "source": "photos",
            "image_size": 32,
            "validation_images": 15,
            "calibration_images": 9,
            "test_images": 15,
            **changes,
        }
    )
    parts = splitting.prepare(raw, settings, seed=seed, scratch=raw)
    for name, split in parts.items():
        split_files.save(raw / "saved" / name, split)
    return {name: split_files.load(raw / "saved" / name) for name in parts}
