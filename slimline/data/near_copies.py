"""Photos that are copies of one another though their pixels differ: resized or recompressed.

A perceptual hash finds candidates, and a tiny thumbnail in colour confirms them; what that finds
and what it takes for copies by mistake is measured by `python -m benchmarks.near_copies`. Copies of
the same pixels are found in `slimline.data.user_files`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_HASHED, _THUMBNAIL = 32, 8
"""Height and width that are hashed and compared, pixels; one is a multiple of the other."""

_HASH_BYTES = 8

MAX_BITS = 6
"""Of 64 that the hashes of two copies differ by at most."""
MAX_DIFFERENCE = 12
"""Root of the mean squared difference of two copies' thumbnails at most, of 255 steps."""
MAX_SHARE = 0.3
"""The same, as a share of the contrast: how far pixels of a thumbnail are from their mean."""

_AT_ONCE = 2**21
"""Pairs of hashes that are compared in one go; 16 MiB."""


@dataclass(frozen=True)
class NearPair:
    """A photo and the one among others that it is nearest to."""

    photo: int
    other: int
    """Rows in what `find` was given."""


def look(image: Image.Image) -> bytes:
    """Return what an RGB image looks like: its perceptual hash (pHash of imagehash) and thumbnail.

    Both are of the whole image at one size, so that neither size nor aspect counts.
    """
    # Here, since prepare_data needs it for photos alone, and its import for no other set.
    import imagehash

    small = image.resize((_HASHED, _HASHED), Image.Resampling.BILINEAR, reducing_gap=2)
    bits: NDArray[np.bool_] = imagehash.phash(small, hash_size=8, highfreq_factor=4).hash
    return np.packbits(bits).tobytes() + small.reduce(_HASHED // _THUMBNAIL).tobytes()


def find(photos: Sequence[bytes], others: Sequence[bytes]) -> Iterator[NearPair]:
    """Yield each of the photos that has a near copy among the others, with the nearest one.

    Both are given by what `look` returned. Takes some 5 ns for each of the photos times the others.
    """
    if not photos or not others:
        return
    own, known = _hashes(photos), _hashes(others)
    step = max(1, _AT_ONCE // len(known))
    for start in range(0, len(own), step):
        distance = np.bitwise_count(own[start : start + step, np.newaxis] ^ known)
        is_near = distance <= MAX_BITS
        for row in np.flatnonzero(is_near.any(1)).tolist():
            candidates = np.flatnonzero(is_near[row])
            nearest = _nearest(photos[start + row], others, candidates)
            if nearest is not None:
                yield NearPair(start + row, nearest)


def _nearest(photo: bytes, others: Sequence[bytes], candidates: NDArray[np.int64]) -> int | None:
    """Return the candidate whose thumbnail is nearest, if that is near enough."""
    own = _thumbnails([photo])
    theirs = _thumbnails([others[row] for row in candidates.tolist()])
    difference = _spread(theirs - own)
    contrast = np.minimum(_contrast(own), _contrast(theirs))
    best = int(difference.argmin())
    is_copy = difference[best] <= MAX_DIFFERENCE and difference[best] <= MAX_SHARE * (
        1 + contrast[best]
    )
    return int(candidates[best]) if is_copy else None


def _hashes(looks: Sequence[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(each[:_HASH_BYTES] for each in looks), np.uint64)


def _thumbnails(looks: Sequence[bytes]) -> NDArray[np.float32]:
    """Return [count, pixels, channels]."""
    content = b"".join(each[_HASH_BYTES:] for each in looks)
    pixels = np.frombuffer(content, np.uint8).astype(np.float32)
    return pixels.reshape(len(looks), _THUMBNAIL**2, -1)


def _contrast(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    return _spread(thumbnails - thumbnails.mean(1, keepdims=True))


def _spread(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the root of the mean square of each, [count]."""
    found: NDArray[np.float32] = np.sqrt((difference**2).mean((1, 2)))
    return found
