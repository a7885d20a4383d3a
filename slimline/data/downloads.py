"""Raw sets that torchvision knows by name. What is under `data/raw/<name>` is not downloaded again.

Torchvision has no common way to ask for files and labels, so that each set says here where it keeps
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from slimline import files
from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_set import Part, RawSet
from slimline.data.split_files import ImageFile, ImageFiles
from slimline.errors import DataError

_NOTE = "README.md"
"""In the folder of each set, so that DVC has something to look at where nothing is downloaded."""

Files = list[tuple[str, int]]
"""Paths with labels."""


@dataclass(frozen=True)
class _Known:
    """How torchvision's class of a set is called, and what it holds."""

    train: Mapping[str, Any] = field(default_factory=lambda: {"train": True})
    test: Mapping[str, Any] | None = field(default_factory=lambda: {"train": False})
    validation: Mapping[str, Any] | None = None
    files: Callable[[Any], Files] | None = None
    """Where the files and labels are; without it, all images are in one array."""
    labels: str = "targets"
    """Attribute of the labels of an array."""


def _image_files(known: Any) -> Files:
    return list(zip(known._image_files, known._labels, strict=True))


def _images(known: Any) -> Files:
    return list(zip(known._images, known._labels, strict=True))


def _samples(known: Any) -> Files:
    return list(known.samples)


_TRAIN, _VAL, _TEST = {"split": "train"}, {"split": "val"}, {"split": "test"}

SETS: dict[str, _Known] = {
    "CIFAR10": _Known(),
    "CIFAR100": _Known(),
    "FashionMNIST": _Known(),
    "KMNIST": _Known(),
    "MNIST": _Known(),
    "SVHN": _Known(_TRAIN, _TEST, labels="labels"),
    "STL10": _Known(_TRAIN, _TEST, labels="labels"),
    "DTD": _Known(_TRAIN, _TEST, _VAL, files=_image_files),
    "EuroSAT": _Known({}, None, files=_samples),
    "FGVCAircraft": _Known(_TRAIN, _TEST, _VAL, files=_image_files),
    "Flowers102": _Known(_TRAIN, _TEST, _VAL, files=_image_files),
    "Food101": _Known(_TRAIN, _TEST, files=_image_files),
    "Imagenette": _Known(_TRAIN, None, _VAL, files=_samples),
    "OxfordIIITPet": _Known({"split": "trainval"}, _TEST, files=_images),
}


def read(name: str, raw: Path, scratch: Path, *, size: int, crop: float) -> RawSet:
    """Return a set by torchvision's name, from `raw / name` or downloaded into `scratch`.

    Raises:
        DataError: it cannot be downloaded, or what is under `raw / name` is not that set.
    """
    known, root = SETS[name], raw / name
    is_there = root.is_dir() and any(path.name != _NOTE for path in root.iterdir())

    def part(split: Mapping[str, Any] | None) -> tuple[Any, Part] | None:
        if split is None:
            return None
        given = _open(name, root if is_there else scratch, split, download=not is_there)
        return given, _part(known, given, size=size, crop=crop)

    train = part(known.train)
    assert train is not None
    validation, test = (part(split) for split in (known.validation, known.test))
    given, images = train
    classes = getattr(given, "classes", None) or sorted({str(each) for each in images.labels})
    return RawSet(
        [_class_name(each) for each in classes],
        images,
        validation=validation[1] if validation else None,
        test=test[1] if test else None,
    )


def _open(name: str, root: Path, split: Mapping[str, Any], *, download: bool) -> Any:
    from torchvision import datasets

    try:
        return getattr(datasets, name)(root, download=download, **split)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        if download:
            raise DataError(
                f"params.yaml: data.source: {name} cannot be downloaded: {reason}; put its files "
                f"under data/raw/{name} as torchvision lays them out, or name a folder of data/raw"
            ) from None
        raise DataError(f"{root}: is not torchvision's {name}: {reason}") from None


def _part(known: _Known, given: Any, *, size: int, crop: float) -> Part:
    if known.files is None:
        labels = np.asarray(getattr(given, known.labels), np.int64)
        return Part(_as_images(np.asarray(given.data)), labels)
    pairs = known.files(given)
    frame = Preprocessing(size, size, 3, mean=(), std=(), crop=crop, draft=True)
    files = [_file(Path(path)) for path, _ in pairs]
    return Part(ImageFiles(files, frame), np.array([label for _, label in pairs], np.int64))


def _file(path: Path) -> ImageFile:
    return ImageFile(path, path.name, files.hash_file(path), path.suffix.lower())


def _as_images(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    """Return [count, height, width, channels] of any order in which torchvision keeps pixels."""
    if pixels.ndim == 3:
        return pixels[..., np.newaxis]
    return pixels.transpose(0, 2, 3, 1) if pixels.shape[1] == 3 else pixels


def _class_name(given: Any) -> str:
    """Return one name where a set has several words for a class."""
    return given[0] if isinstance(given, tuple) else str(given)
