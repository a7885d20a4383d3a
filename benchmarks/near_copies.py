"""Are near copies of photos found, and nothing else? Measured on a folder of photos without copies.

    python -m benchmarks.near_copies PHOTOS --count 10000 --sheet pairs.png

takes `--count` of all photos under PHOTOS at random, brought to `--size` pixels if that is asked
for, and prints for each kind of copy how many of 5,000 are found with their original among all of
them. Then it looks for copies among the originals alone: what is found there is either a true copy
that the set has, or false. `--sheet` draws these pairs side by side, for a person to see which.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from slimline.data import near_copies

Given = TypeVar("Given")
Made = TypeVar("Made")

_NUM_COPIED = 5000
_SHOWN, _COLUMNS, _CELL = 100, 10, 64


def main() -> None:
    """Print a table, and what is found among the originals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, help="bring the originals to it first, pixels")
    parser.add_argument("--sheet", type=Path, help="where to draw what is found among originals")
    arguments = parser.parse_args()
    paths = sorted(
        path for path in arguments.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"}
    )
    count = min(arguments.count, len(paths))
    chosen = np.random.default_rng(0).permutation(len(paths))[:count].tolist()
    images = in_threads(lambda row: opened(paths[row], arguments.size), chosen)
    looks = in_threads(near_copies.look, images)
    print("| copy | found, percent |")
    print("|---|---:|")
    copied = images[:_NUM_COPIED]
    for name, copy in COPIES.items():
        copies = in_threads(near_copies.look, in_threads(copy, copied))
        found = sum(pair.photo == pair.other for pair in near_copies.find(copies, looks))
        print(f"| {name} | {100 * found / len(copied):.2f} |", flush=True)
    begin = time.perf_counter()
    pairs = among(looks)
    print(
        f"\nAmong {count} originals: {len(pairs)} pairs, {100 * len(pairs) / count:.3f} % of the "
        f"photos; {time.perf_counter() - begin:.1f} s"
    )
    if arguments.sheet:
        draw([(images[one], images[other]) for one, other in pairs], arguments.sheet)


def in_threads(make: Callable[[Given], Made], given: list[Given]) -> list[Made]:
    """Return what `make` makes of each."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(make, given))


def opened(path: Path, size: int | None) -> Image.Image:
    """Return a photo in RGB."""
    with Image.open(path) as image:
        whole = image.convert("RGB")
    return whole if size is None else whole.resize((size, size), Image.Resampling.BICUBIC)


def half(image: Image.Image) -> Image.Image:
    """Return a copy of half the height and width."""
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image, quality: int = 50) -> Image.Image:
    """Return what a JPEG of an image shows."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def squashed(image: Image.Image) -> Image.Image:
    """Return a copy of another aspect, as sets for training are often handed on."""
    return image.resize((image.width * 3 // 4, image.height), Image.Resampling.BILINEAR)


COPIES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "half size": half,
    "JPEG quality 50": recompressed,
    "half size, then JPEG quality 50": lambda image: recompressed(half(image)),
    "three quarters of the width": squashed,
}


def among(looks: list[bytes], first: int = 0) -> list[tuple[int, int]]:
    """Return pairs of photos that are taken for copies: of each half with the other, and so on."""
    middle = len(looks) // 2
    if not middle:
        return []
    own, others = looks[:middle], looks[middle:]
    between = [
        (first + pair.photo, first + middle + pair.other) for pair in near_copies.find(own, others)
    ]
    return between + among(own, first) + among(others, first + middle)


def draw(pairs: list[tuple[Image.Image, Image.Image]], path: Path) -> None:
    """Write the first pairs side by side."""
    shown = pairs[:_SHOWN]
    rows = -(-len(shown) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * (2 * _CELL + 12), max(1, rows) * (_CELL + 8)))
    for number, pair in enumerate(shown):
        row, column = divmod(number, _COLUMNS)
        for side, image in enumerate(pair):
            at = column * (2 * _CELL + 12) + side * (_CELL + 2), row * (_CELL + 8)
            sheet.paste(image.resize((_CELL, _CELL)), at)
    sheet.save(path)


if __name__ == "__main__":
    main()
