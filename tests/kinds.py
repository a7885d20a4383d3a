"""Splits of both kinds of data, for tests of what takes any split: arrays, and photos as files.

The arrays are 28 x 28 x 1 of ten classes, the photos 32 x 32 x 3 of three, decoded as asked for.
"""

from pathlib import Path
from typing import Any

import photos
import pytest
import toy

from slimline.data.split_files import Split

KINDS = ("arrays", pytest.param("photos", marks=pytest.mark.slow))
"""Parameters of a fixture; the quick tests take photos through every stage elsewhere."""


def splits(kind: str, raw: Path, **changes: Any) -> dict[str, Split]:
    """Return the splits of a kind, made under `raw`; `changes` are settings of `data`."""
    if kind == "arrays":
        return toy.splits(raw, **changes)
    counts = {"validation_images": 60, "calibration_images": 30, "test_images": 30}
    photos.make(raw / "photos", per_class=100)
    return photos.prepare(raw, make=False, **{**counts, **changes})
