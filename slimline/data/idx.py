"""Raw sets in IDX format, which MNIST made common: four gz files, `SHA256SUMS`, `classes.txt`."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimline.data.raw_set import Part, RawSet
from slimline.errors import DataError

_SUMS = "SHA256SUMS"
_TRAIN_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
_TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
_IMAGES_MAGIC, _LABELS_MAGIC = 0x00000803, 0x00000801


def read(folder: Path) -> RawSet:
    """Return the set of a folder, its files compared with their checksums.

    Raises:
        DataError: a file is missing, damaged or malformed.
    """
    _verify(folder)
    classes = _read_classes(folder)
    train, test = (_read_part(folder, names, classes) for names in (_TRAIN_FILES, _TEST_FILES))
    return RawSet(classes, train, test=test)


def is_set(folder: Path) -> bool:
    """Return whether a set is of arrays; photos may have checksums beside them too."""
    return any(folder.glob("*-ubyte.gz"))


def _verify(folder: Path) -> None:
    for number, line in enumerate(_text(folder / _SUMS).splitlines(), 1):
        if not line.strip():
            continue
        expected, *names = line.split(maxsplit=1)
        if not names:
            raise DataError(
                f"{folder / _SUMS}: line {number}: needs a SHA-256 and the name of a file, as "
                f"sha256sum writes them; it is {line!a}"
            )
        # The asterisk says that the file was read as bytes.
        path = folder / names[0].strip().removeprefix("*")
        if not path.is_file():
            raise DataError(f"{path}: the file is missing, though SHA256SUMS lists it")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise DataError(f"{path}: is damaged, its SHA-256 is not the one in SHA256SUMS")


def _read_classes(folder: Path) -> list[str]:
    path = folder / "classes.txt"
    if not path.is_file():
        raise DataError(f"{path}: the class names are missing, one a line in order of the labels")
    classes = _text(path).splitlines()
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise DataError(f"{path}: needs two or more different class names, has {classes}")
    return classes


def _text(path: Path) -> str:
    """Return a text of the set.

    Raises:
        DataError: it is missing, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 ({error.reason}): save it as UTF-8") from None


def _read_part(folder: Path, names: tuple[str, str], classes: list[str]) -> Part:
    images = _read_idx(folder / names[0], _IMAGES_MAGIC)[..., np.newaxis]
    labels = _read_idx(folder / names[1], _LABELS_MAGIC).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} images but {len(labels)} labels in {names}")
    if labels.max(initial=0) >= len(classes):
        raise DataError(
            f"{folder / names[1]}: has label {labels.max()}, classes.txt has {len(classes)} classes"
        )
    return Part(images, labels)


def _read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Return the array of an IDX file: magic, a big-endian int32 per dimension, then bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is no complete gzip file: {error}") from None
    dimensions = magic & 0xFF
    header = np.frombuffer(content[: 4 * (1 + dimensions)], ">i4")
    if len(header) != 1 + dimensions or header[0] != magic:
        raise DataError(f"{path}: is no IDX file of {dimensions} dimensions")
    pixels = np.frombuffer(content, np.uint8, offset=header.nbytes)
    if pixels.size != np.prod(header[1:]):
        raise DataError(
            f"{path}: has {pixels.size} bytes of data, its header promises {header[1:]}"
        )
    return pixels.reshape(header[1:])
