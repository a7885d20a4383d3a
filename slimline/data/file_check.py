"""Whether a file of a user can be used: nothing about it is trusted, it is decoded once."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import UnidentifiedImageError

from slimline.data import image_search, near_copies, preprocessing
from slimline.data.split_files import ImageFile


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file that a user put among the images."""

    path: Path
    part: str
    label: str
    name: str
    """Its path within the set, safe to print."""
    group: str = ""
    """What it must not be parted from; of empty ones each stands alone."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A file that cannot be used."""

    name: str
    reason: str

    def __str__(self) -> str:
        """Name it with its reason."""
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class UserImage:
    """A file that can be used."""

    found: UserFile
    file: ImageFile
    is_grey: bool
    highest: int | None
    """The highest value of a file of 16 bits."""
    pixels: bytes
    """SHA-256 of what a person sees, whatever the format of the file."""


_AT_ONCE = 1000
"""Files that wait for a thread: what waits takes more memory than what is known of a file."""


def check_all(found: Sequence[UserFile], *, looks: bool) -> list[UserImage | Bad]:
    """Decode all files, as many at once as there are CPUs."""
    check = partial(_check, looks=looks)
    checked: list[UserImage | Bad] = []
    with preprocessing.decoders(os.cpu_count() or 1) as threads:
        for start in range(0, len(found), _AT_ONCE):
            checked += threads.map(check, found[start : start + _AT_ONCE])
    return checked


def _check(found: UserFile, *, looks: bool) -> UserImage | Bad:
    """Decode a file wholly, as training will."""
    if not found.path.is_file():
        return Bad(found.name, "is no file, or a link to nothing")
    try:
        content = found.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        with preprocessing.opened(BytesIO(content)) as image:
            suffix = sys.intern(f".{(image.format or '').lower()}")
            is_grey = preprocessing.is_grey(image)
            highest = preprocessing.highest_of_16_bits(image)
            seen = preprocessing.upright(image, channels=3)
            pixels = hashlib.sha256(repr(seen.size).encode())
            pixels.update(seen.tobytes())
            look = near_copies.look(seen) if looks else b""
    except UnidentifiedImageError:
        return Bad(found.name, image_search.why_unknown(found.path))
    # Of damaged files Pillow's readers raise anything: struct.error, TypeError, zlib.error, ...
    except Exception as error:
        return Bad(found.name, f"cannot be decoded: {preprocessing.reason(error)}")
    file = ImageFile(found.path, found.name, digest, suffix, look)
    return UserImage(found, file, is_grey, highest, pixels.digest())
