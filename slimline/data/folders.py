"""Raw sets of image files in a folder per class, as users have them: nothing about them is trusted.

Either `<class>/...` or `train/<class>/...` with optional `val/` and `test/` of the same classes.
Every file is decoded once here; what cannot be used is named with its reason, and the run stops, or
goes on without it.
"""

import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from slimline.data import preprocessing
from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_set import Part, RawSet
from slimline.data.split_files import ImageFile, ImageFiles
from slimline.errors import DataError

TRAIN, VALIDATION, TEST = "train", "val", "test"
_PARTS = (TEST, VALIDATION, TRAIN)
"""Of the same image in several parts, the copy in the first of these stays."""

_LITTER = {"thumbs.db", "desktop.ini"}
_SHOWN = 50
"""Bad files that are named in a message."""


@dataclass(frozen=True)
class _UserFile:
    """A file that a user put among the images."""

    path: Path
    part: str
    label: str
    name: str
    """Its path within the set, safe to print."""


@dataclass(frozen=True)
class _Image:
    """A file that can be used."""

    found: _UserFile
    file: ImageFile
    is_grey: bool


@dataclass(frozen=True)
class _Bad:
    """A file that cannot be used."""

    name: str
    reason: str

    def __str__(self) -> str:
        """Name it with its reason."""
        return f"{self.name}: {self.reason}"


def read(folder: Path, *, size: int, crop: float, skip_bad: bool) -> RawSet:
    """Return the set of a folder, every file of it decoded once.

    Raises:
        DataError: there are no classes or only one, a class has no image to train on, or there are
            bad files and these shall not be skipped.
    """
    files = _find(folder)
    labels = sorted({each.label for each in files if each.part == TRAIN})
    _check_classes(folder, labels, files)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        checked = list(threads.map(_check, files))
    images = [each for each in checked if isinstance(each, _Image)]
    images, copies = _without_copies(images)
    bad = [each for each in checked if isinstance(each, _Bad)] + copies
    _report(folder, bad, skip_bad=skip_bad)
    channels = 1 if all(each.is_grey for each in images) else 3
    frame = Preprocessing(size, size, channels, mean=(), std=(), crop=crop)
    parts = {
        name: _part([each for each in images if each.found.part == name], labels, frame)
        for name in _PARTS
    }
    given = {each.part for each in files}
    for position, label in enumerate(labels):
        if not (parts[TRAIN].labels == position).any():
            raise DataError(f"{folder}: class {label!r} has no image that can be trained on")
    return RawSet(
        labels,
        parts[TRAIN],
        validation=parts[VALIDATION] if VALIDATION in given else None,
        test=parts[TEST] if TEST in given else None,
    )


def _find(folder: Path) -> list[_UserFile]:
    """Return all files in class folders, in the order of their names, without hidden ones."""
    has_parts = (folder / TRAIN).is_dir()
    roots = {name: folder / name for name in _PARTS} if has_parts else {TRAIN: folder}
    return [
        _UserFile(path, part, label.name, _printable(path.relative_to(folder)))
        for part, root in roots.items()
        if root.is_dir()
        for label in sorted(root.iterdir())
        if label.is_dir() and not label.name.startswith(".")
        for path in sorted(_files_under(label))
    ]


def _files_under(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not is_hidden and path.name.lower() not in _LITTER:
            yield path


def _check_classes(folder: Path, labels: Sequence[str], files: Sequence[_UserFile]) -> None:
    if len(labels) < 2:
        raise DataError(
            f"{folder}: needs a folder of images for each of two or more classes, directly or in "
            f"{TRAIN}/; found classes {list(labels)}"
        )
    unprintable = [label for label in labels if not label.isprintable()]
    if unprintable:
        raise DataError(f"{folder}: a class needs a printable name; {unprintable[0]!a} is none")
    unknown = sorted({each.label for each in files} - set(labels))
    if unknown:
        raise DataError(f"{folder}: {TRAIN}/ has no class {unknown[0]!r}, another part has")


def _check(found: _UserFile) -> _Image | _Bad:
    """Decode a file wholly, as training will."""
    try:
        content = found.path.read_bytes()
        with warnings.catch_warnings(), Image.open(found.path) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            suffix, is_grey = f".{(image.format or '').lower()}", preprocessing.is_grey(image)
            preprocessing.upright(image, channels=3)
    except UnidentifiedImageError:
        return _Bad(found.name, "is no image that Pillow can read")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        return _Bad(found.name, str(error))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        return _Bad(found.name, f"cannot be decoded: {error}")
    digest = hashlib.sha256(content).hexdigest()
    return _Image(found, ImageFile(found.path, found.name, digest, suffix), is_grey)


def _without_copies(images: Sequence[_Image]) -> tuple[list[_Image], list[_Bad]]:
    """Return each image once, and what is wrong with its copies.

    A copy of the same class in the same part is harmless and dropped with a line; the same image in
    two classes is in none, and in two parts it stays in the one that judges.
    """
    by_hash: Mapping[str, list[_Image]] = defaultdict(list)
    for each in images:
        by_hash[each.file.sha256].append(each)
    kept, bad, num_dropped = set(), [], 0
    for same in by_hash.values():
        if len({each.found.label for each in same}) > 1:
            names = " and ".join(each.found.name for each in same)
            bad.append(_Bad(names, "are the same image in different classes"))
            continue
        first = min(same, key=lambda each: _PARTS.index(each.found.part))
        kept.add(first.found.path)
        for other in same:
            if other.found.part != first.found.part:
                bad.append(_Bad(other.found.name, f"is the same image as {first.found.name}"))
            elif other is not first:
                num_dropped += 1
    if num_dropped:
        print(f"{num_dropped} images are there more than once in their class, and are used once")
    return [each for each in images if each.found.path in kept], bad


def _report(folder: Path, bad: Sequence[_Bad], *, skip_bad: bool) -> None:
    if not bad:
        return
    lines = [f"  {each}" for each in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    told = "\n".join([f"{folder}: {len(bad)} files cannot be used:", *lines])
    if not skip_bad:
        raise DataError(f"{told}\nmend or remove them, or set data.on_bad_image: skip")
    print(f"{told}\ngoing on without them, as data.on_bad_image says")


def _part(images: Sequence[_Image], labels: Sequence[str], frame: Preprocessing) -> Part:
    positions = {label: position for position, label in enumerate(labels)}
    return Part(
        ImageFiles([each.file for each in images], frame),
        np.array([positions[each.found.label] for each in images], np.int64),
    )


def _printable(path: Path) -> str:
    """Return a path as text that is safe in a terminal, a log and JSON."""
    text = path.as_posix()
    return text if text.isprintable() else ascii(text)[1:-1]
