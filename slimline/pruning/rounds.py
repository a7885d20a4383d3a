"""Iterative pruning: cut a little, recover, measure, and again, whatever the method."""

import copy
from dataclasses import dataclass
from typing import Any

from slimline.core import training
from slimline.core.classifier import Classifier
from slimline.core.data import Split
from slimline.core.training import Row
from slimline.pruning import cost
from slimline.pruning.settings import PruneSettings


@dataclass(frozen=True)
class Round:
    """What one round did; percentages are of the validation split."""

    number: int
    params: int
    macs_m: float
    sparsity: float
    top1_cut: float
    """Before recovery."""
    top1_recovered: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return dict(vars(self))


def prune(
    model: Classifier, train: Split, validation: Split, settings: PruneSettings, *, seed: int
) -> tuple[Classifier, list[Row], list[Round]]:
    """Return the pruned and recovered model, its learning curve, and what each round did.

    The model given is left alone. A threshold of 0 returns an equal model without any training.
    """
    network = copy.deepcopy(model.network)
    pruned = model.with_network(network)
    rows: list[Row] = []
    rounds: list[Round] = []
    for number in range(1, settings.steps + 1 if settings.threshold else 1):
        settings.cut(network, model.example, share_per_round(settings))
        top1_cut = training.top1(network, validation, model.preprocessing)
        rows += training.fit(
            network,
            train,
            validation,
            settings.recover,
            preprocessing=model.preprocessing,
            seed=seed + number,
            phase=f"round {number}",
            teacher=model.network,
        )
        after = cost.count(network, model.example)
        top1 = max(row.validation_top1 for row in rows if row.phase == f"round {number}")
        rounds.append(Round(number, after.params, after.macs_m, after.sparsity, top1_cut, top1))
    return pruned, rows, rounds


def share_per_round(settings: PruneSettings) -> float:
    """Return the share that, removed from what is left each time, adds up to the threshold."""
    kept: float = (1 - settings.threshold) ** (1 / settings.steps)
    return 1 - kept
