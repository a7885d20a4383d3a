"""What is taken for what: the counts that `dvc plots` draws as a confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.report import number_formatting as fmt

COLUMNS = ("actual", "predicted", "images")


def rows(
    answers: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row for each pair of classes that occurs, in the order of the classes."""
    pairs, counts = np.unique(np.stack([labels, answers], 1), axis=0, return_counts=True)
    return [
        dict(zip(COLUMNS, (_name(names, actual), _name(names, answer), images), strict=True))
        for (actual, answer), images in zip(pairs.tolist(), counts.tolist(), strict=True)
    ]


def _name(names: Sequence[str], index: int) -> str:
    """Return a name that stands in one cell.

    The number before it keeps the order, tells names apart that were cut short, and keeps a
    quotation mark from being the first sign, which DVC would read as that of a cell with tabs.
    """
    width = len(str(len(names) - 1))
    return f"{index:0{width}d} {fmt.plain(names[index])}"
