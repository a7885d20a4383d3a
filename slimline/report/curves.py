"""The learning curves of the stages that train, as the report draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from slimline import files


@dataclass(frozen=True)
class LearningCurve:
    """Validation accuracy of one stage over its phases, one after another."""

    name: str
    epochs: Sequence[float]
    """Passes over the training split since the stage began."""
    top1: Sequence[float]
    """Percent of the validation split."""
    losses: Sequence[Sequence[float]] = ()
    """Mean training losses of each phase."""
    images: int = 0
    """Training images seen in all phases, an image counted each time that it is seen."""


def read(path: Path, name: str) -> LearningCurve:
    """Return the curve of a `history.tsv`; without a row where nothing was trained."""
    rows = files.read_table(path)
    return LearningCurve(
        name,
        epochs=_through([(row["phase"], float(row["epoch"])) for row in rows]),
        top1=[float(row["validation_top1"]) for row in rows],
        losses=[
            [float(row["train_loss"]) for row in phase]
            for _, phase in groupby(rows, key=lambda row: row["phase"])
        ],
        images=sum({row["phase"]: int(row["images"]) for row in rows}.values()),
    )


def _through(milestones: Sequence[tuple[str, float]]) -> list[float]:
    """Return epochs that go on where each phase begins anew from 0."""
    total, offset, found = 0.0, 0.0, []
    last = ""
    for phase, epoch in milestones:
        offset, last = (offset, last) if phase == last else (total, phase)
        total = offset + epoch
        found.append(total)
    return found
