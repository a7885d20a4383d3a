"""How many images of each class are recognised, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimline.measure import paired_answers
from slimline.measure.paired_answers import Paired
from slimline.measure.significance import SURE_95


@dataclass(frozen=True)
class ClassChange:
    """One class; `top1` of its counts is its recall."""

    name: str
    paired: Paired
    is_beyond_chance: bool


def compare(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    labels: NDArray[np.int64],
    names: Sequence[str],
) -> list[ClassChange]:
    """Return every class: those that changed beyond chance first, then the largest changes."""
    recalls = paired_answers.by_class(before, after, labels, len(names))
    beyond = paired_answers.changed_classes(recalls, SURE_95)
    rows = sorted(
        range(len(recalls)), key=lambda row: (row not in beyond, -abs(recalls[row].gain), row)
    )
    return [ClassChange(names[row], recalls[row], row in beyond) for row in rows]
