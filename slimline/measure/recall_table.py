"""How many test images of each class a variant recognises: `metrics/recalls/<variant>.tsv`.

A table beside the metric file and not a part of it: `dvc metrics diff` stays a line per figure, be
there two classes or a thousand, and `git diff` shows the classes that changed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimline import files

COLUMNS = ("class", "images", "right", "recall")


def write(
    path: Path, answers: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]
) -> None:
    """Write a row per class, in the order of the head; `answers` and `labels` are [images].

    `right` counts images that are answered rightly, `recall` is their percentage of the class's
    images, empty where there is none to test.
    """
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    rights = np.bincount(labels[answers == labels], minlength=len(classes)).tolist()
    rows = [
        dict(zip(COLUMNS, (name, count, right, _recall(right, count)), strict=True))
        for name, count, right in zip(classes, counts, rights, strict=True)
    ]
    files.write_table(path, rows, header=COLUMNS)


def _recall(right: int, count: int) -> float | str:
    return round(100 * right / count, 3) if count else ""
