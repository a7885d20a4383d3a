"""Images that are the same pixel by pixel, in whatever format their files are."""

from collections.abc import Iterator, Sequence

import numpy as np

from slimline.data.file_check import Bad, UserImage
from slimline.data.part_names import PARTS

_DIGEST_BYTES = 32
_NAMED = 5
"""Names in a sentence: each of many classes may have the picture that stands for lost ones."""


def without_copies(images: Sequence[UserImage]) -> tuple[list[UserImage], list[Bad]]:
    """Return each image once, and what is wrong with its copies, also in other formats.

    A copy of the same class in the same part is harmless and dropped with a line; the same image in
    two classes is in none, and in two parts it stays in the one that judges.
    """
    dropped: set[int] = set()
    bad, num_dropped = [], 0
    for rows in _same_pixels(images):
        same = [images[row] for row in rows]
        if len({each.found.label for each in same}) > 1:
            names = [each.found.name for each in same[:_NAMED]]
            if len(same) > _NAMED:
                names.append(f"{len(same) - _NAMED} more")
            bad.append(Bad(" and ".join(names), "are the same image in different classes"))
            dropped.update(rows)
            continue
        first = min(same, key=lambda each: PARTS.index(each.found.part))
        dropped.update(row for row in rows if images[row] is not first)
        for other in same:
            if other.found.part != first.found.part:
                bad.append(Bad(other.found.name, f"is the same image as {first.found.name}"))
            elif other is not first:
                num_dropped += 1
    if num_dropped:
        are = "image is" if num_dropped == 1 else "images are"
        print(f"{num_dropped} {are} there more than once in a class, and used once")
    return [each for row, each in enumerate(images) if row not in dropped], bad


def _same_pixels(images: Sequence[UserImage]) -> Iterator[list[int]]:
    """Yield the rows of images that are there more than once, those of each together, in order."""
    digests = np.array([each.pixels for each in images], f"S{_DIGEST_BYTES}")
    _, number, count = np.unique(digests, return_inverse=True, return_counts=True)
    rows_of: dict[int, list[int]] = {}
    for row in np.flatnonzero(count[number] > 1).tolist():
        rows_of.setdefault(int(number[row]), []).append(row)
    yield from rows_of.values()
