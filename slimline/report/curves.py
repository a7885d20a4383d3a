"""The learning curves of the stages that train, as the report draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from slimline import files
from slimline.training.settings import Selection, SharedRecipe

_RECIPES = ("recipe", "unfrozen", "recover")
"""Where the settings of a stage have the recipe of its last phase."""

_COLUMNS: Mapping[Selection, str] = {
    "top1": "validation_top1",
    "mean_recall": "validation_mean_recall",
    "loss": "validation_loss",
}


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
    selects: Selection = "top1"
    """What the kept state is the best by."""
    selected: Sequence[float] = ()
    """That figure on validation: percent, or the loss."""

    @property
    def best(self) -> float:
        """The best of `selected` after the first row."""
        return (min if self.selects == "loss" else max)(self.selected[1:])

    @property
    def gained_nothing(self) -> bool:
        """Whether no state was better than the one that training began with, if that is known."""
        if len(self.selected) < 2 or self.epochs[0] != 0:
            return False
        before = self.selected[0]
        return not (self.best < before if self.selects == "loss" else self.best > before)


def selection(settings: Mapping[str, Any]) -> Selection:
    """Return what selected among the states of a training, by the settings in its `model.json`."""
    recipe: Mapping[str, Any] = next((settings[key] for key in _RECIPES if key in settings), {})
    return SharedRecipe.model_construct(**recipe).selects if "select_by" in recipe else "top1"


def read(path: Path, name: str, selects: Selection = "top1") -> LearningCurve:
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
        selects=selects,
        selected=[float(row[_COLUMNS[selects]]) for row in rows],
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
