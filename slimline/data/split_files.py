"""Prepared splits: how `data/prepared/<split>/` is written and read. Free of torch.

Images of one size are a memory-mapped array; photos are the files themselves, or copies of large
ones (`slimline.data.resized_copies`), packed into few (`slimline.data.packed_files`) and decoded
when they are asked for. Both answer to the same index:
`split.images[rows]` is uint8 [count, height, width, channels] after the deterministic
preprocessing. Where images come from is in `slimline.data.splitting`, how they are fed to training
in `slimline.training.loader`.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slimline import files
from slimline.data import packed_files, preprocessing
from slimline.data.packed_files import Member, PackedFiles
from slimline.data.preprocessing import Preprocessing
from slimline.errors import DataError

MANIFEST = "manifest.json"
_ARRAY, _LABELS, _FOLDER = "images.npy", "labels.npy", "images"

Rows: TypeAlias = "slice | Sequence[int] | NDArray[np.int64]"
Copies: TypeAlias = Callable[[Iterable[Member], Preprocessing], Iterator[Member]]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file of a raw set."""

    path: Path
    name: str
    """As the user knows it: its path within the raw set."""
    sha256: str
    suffix: str
    """By its content, with the dot."""
    look: bytes = b""
    """What `slimline.data.near_copies` compares; empty where nobody asked for it."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files that look like an array of the frame's size; decoded anew each time."""

    files: "Sequence[ImageFile] | PackedFiles"
    """Of a raw set, or of a prepared split."""
    frame: Preprocessing

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, rows: Rows) -> NDArray[np.uint8]:
        """Return uint8 [count, height, width, channels], in the order of the rows."""
        return self.read(rows, threads=os.cpu_count() or 1)

    def read(self, rows: Rows, *, threads: int) -> NDArray[np.uint8]:
        """Return the same, decoded by so many threads, whose number changes no result."""
        known = range(len(self.files))
        chosen = [*known[rows]] if isinstance(rows, slice) else np.asarray(rows).tolist()
        if threads == 1:
            with preprocessing.quiet():
                return np.stack([self._framed(row) for row in chosen])
        # Decoding runs outside of Python's lock.
        with preprocessing.decoders(threads) as several:
            return np.stack(list(several.map(self._framed, chosen)))

    def whole(self, row: int, least: int | None = None) -> NDArray[np.uint8]:
        """Return an image uncut and upright; uint8 [any height, any width, channels].

        It has its own size, or where `least` is given a smaller one, both sides `least` pixels or
        more, at which it is decoded faster.
        """
        with preprocessing.quiet(), preprocessing.opened(self._source(row)) as image:
            if least is not None and self.frame.draft:
                preprocessing.decode_small(image, least)
            return preprocessing.to_array(preprocessing.upright(image, self.frame.channels))

    def _framed(self, row: int) -> NDArray[np.uint8]:
        with preprocessing.opened(self._source(row)) as image:
            return self.frame.to_pixels(image)

    def _source(self, row: int) -> Path | BytesIO:
        if isinstance(self.files, PackedFiles):
            return BytesIO(self.files.read(row))
        return self.files[row].path


Images: TypeAlias = "NDArray[np.uint8] | ImageFiles"


@dataclass(frozen=True)
class Split:
    """Some labelled images, and all that is needed to use them."""

    images: Images
    """[count, height, width, channels] whichever it is; see `ImageFiles`."""
    labels: NDArray[np.int64]
    """[count], indices into `classes`."""
    classes: Sequence[str]
    preprocessing: Preprocessing
    """As measured on the training split; a pretrained model may bring its own."""
    digest: str = ""
    """SHA-256 of the images and labels; known once the split is written."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def stored(self) -> str:
        """`digest`, and what of packed photos is a smaller copy, of which cuts are other ones."""
        if not isinstance(self.images, ImageFiles):
            return self.digest
        packed = self.images.files
        sizes = packed.places[packed.rows].tobytes() if isinstance(packed, PackedFiles) else b""
        return hashlib.sha256(self.digest.encode() + sizes).hexdigest()


def save(folder: Path, split: Split, *, copies: Copies | None = None) -> None:
    """Write images, labels and manifest, at once.

    `copies` gives what is packed in place of the files, as many, in their order.
    """
    with files.replacing(folder) as partial:
        manifest: dict[str, Any] = {
            "classes": list(split.classes),
            "count": len(split),
            "preprocessing": split.preprocessing.to_dict(),
            "sha256": _digest(split),
        }
        np.save(partial / _LABELS, split.labels)
        if isinstance(split.images, ImageFiles):
            members = _members(split.images)
            if copies is not None:
                members = copies(members, split.images.frame)
            packed_files.write(partial / _FOLDER, members, len(split))
        else:
            np.save(partial / _ARRAY, split.images)
        files.write_json(partial / MANIFEST, manifest)


def load(folder: Path) -> Split:
    """Return a split with its images memory-mapped, or not yet read.

    Raises:
        DataError: the folder is not a prepared split.
    """
    try:
        manifest = files.read_json(folder / MANIFEST)
        labels = np.load(folder / _LABELS, allow_pickle=False)
        frame = Preprocessing.from_dict(manifest["preprocessing"])
        images: Images = (
            ImageFiles(packed_files.load(folder / _FOLDER), frame)
            if (folder / _FOLDER).is_dir()
            else np.load(folder / _ARRAY, mmap_mode="r", allow_pickle=False)
        )
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: no prepared split, {Path(error.filename).name} is missing; "
            "run `dvc repro prepare_data`"
        ) from None
    return Split(images, labels, manifest["classes"], frame, manifest["sha256"])


def _members(images: ImageFiles) -> Iterator[Member]:
    """Yield what is packed; a user's names may be anything, so that packed files have others."""
    if isinstance(images.files, PackedFiles):
        yield from images.files.members()
        return
    for each in images.files:
        yield Member(each.path.read_bytes(), each.name, each.sha256, each.suffix)


def _digest(split: Split) -> str:
    if isinstance(split.images, ImageFiles):
        digest = hashlib.sha256()
        for sha256 in _sums(split.images):
            digest.update(sha256.encode())
    else:
        digest = hashlib.sha256(np.ascontiguousarray(split.images).data)
    digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()


def _sums(images: ImageFiles) -> Iterator[str]:
    if isinstance(images.files, PackedFiles):
        return images.files.sums()
    return (each.sha256 for each in images.files)


def take(images: Images, rows: NDArray[np.int64]) -> Images:
    """Return some of the images."""
    if not isinstance(images, ImageFiles):
        return images[rows]
    files = images.files
    if isinstance(files, PackedFiles):
        return replace(images, files=files.take(rows))
    return replace(images, files=[files[row] for row in rows.tolist()])
