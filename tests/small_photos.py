"""Photos of a few pixels, no two alike, for tests of where photos lie and what files hold."""

import itertools
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

_numbers = itertools.count()


def photo(size: tuple[int, int] = (12, 10)) -> Image.Image:
    """Return noise that no other call returns."""
    generator = np.random.default_rng(next(_numbers))
    return Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), np.uint8))


def save(path: Path, size: tuple[int, int] = (12, 10)) -> Path:
    """Write a photo, its folder as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo(size).save(path)
    return path


def fill(folder: Path, *classes: str, count: int = 2) -> Path:
    """Write a folder of photos for each class."""
    for name in classes:
        for number in range(count):
            save(folder / name / f"{number}.png")
    return folder


def with_exif(image: Image.Image, entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """Return a JPEG whose EXIF is of raw entries: tag, type, count and four bytes of a value."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95)
    jpeg = buffer.getvalue()
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    block += b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    return jpeg[:2] + segment + jpeg[2:]
