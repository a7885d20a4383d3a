"""Iterative pruning: cut a little, recover, measure, and again, whatever the method."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.pruning import batchnorm_statistics, cost, groups, widths
from slimline.pruning.cost import LayerCost
from slimline.pruning.record import LayerChange, Round
from slimline.pruning.settings import PruneSettings
from slimline.pruning.whole_layers import WholeLayer
from slimline.pruning.widths import Progress, PruningTables
from slimline.training import loop
from slimline.training.checkpoints import Checkpoints
from slimline.training.scores import HistoryRow, Score
from slimline.training.settings import Selection


@dataclass(frozen=True)
class Outcome:
    """A pruned model and how it came about."""

    model: Classifier
    history: list[HistoryRow]
    rounds: list[Round]
    layers: list[LayerChange]
    whole: Sequence[WholeLayer]
    """Layers that had to stay as wide as they were."""

    def account(self) -> dict[str, Any]:
        """Return what `model.json` tells of it."""
        kept = [each for each in self.rounds if each.is_kept]
        return {
            "validation_top1": kept[-1].top1_recovered,
            "rounds": [each.to_dict() for each in self.rounds],
            "layers": [each.to_dict() for each in self.layers],
            "whole": [each.to_dict() for each in self.whole],
        }


def prune(
    model: Classifier,
    train: Split,
    calibration: Split,
    validation: Split,
    settings: PruneSettings,
    *,
    teacher: nn.Module,
    tables: PruningTables,
    seed: int,
    checkpoints: Checkpoints | None = None,
) -> Outcome:
    """Prune and recover in rounds, until all are done or one loses too much accuracy.

    The model given is left alone. At a threshold of 0 nothing is cut, and all else is done as at
    any other: the control, which shows what of a pruned model's accuracy comes of more training;
    without any training either, the model stays as it is. A
    round that ends more than `settings.max_drop` points below the model given is undone; points of
    what the recipe selects by, top-1 or mean recall.

    Raises:
        ParamsError: a setting does not fit the network; see `slimline.pruning.widths`.
    """
    before = cost.count(model.network, model.example)
    by = settings.recover.selects
    start = loop.measure(model.network, validation, model.preprocessing)
    lowest = start.percent(by) - settings.max_drop
    kept = model.with_network(copy.deepcopy(model.network))
    history: list[HistoryRow] = []
    whole: Sequence[WholeLayer] = ()
    rounds = [_round(0, 0.0, kept, start, start, by, is_kept=True)]
    for number in range(1, 1 if settings.is_idle else settings.steps + 1):
        current = kept.with_network(copy.deepcopy(kept.network))
        plan = settings.survey(current, calibration)
        whole = plan.whole
        if number == 1:  # what cannot be met is refused now, not after hours
            widths.choose(plan, settings, Progress(1, 1, before), tables)
        progress = Progress(number, settings.steps, before)
        threshold = widths.choose(plan, settings, progress, tables)
        current = groups.carry_out(plan, current)
        batchnorm_statistics.recompute(current, calibration)
        cut = loop.measure(current.network, validation, model.preprocessing)
        fitted = loop.fit(
            current.network,
            train,
            validation,
            settings.recover,
            preprocessing=model.preprocessing,
            seed=seed + number,
            phase=f"round {number}",
            teacher=teacher,
            start=cut,
            checkpoints=checkpoints,
            kept_zeros=dict(current.network.named_parameters()),
        )
        history += fitted.rows
        is_kept = fitted.kept.percent(by) >= lowest
        rounds.append(_round(number, threshold, current, cut, fitted.kept, by, is_kept=is_kept))
        print(_told(rounds[-1], lowest))
        if not rounds[-1].is_kept:
            break
        kept = current
    return Outcome(kept, history, rounds, _compare(model, kept), whole)


def _round(
    number: int,
    threshold: float,
    model: Classifier,
    cut: Score,
    recovered: Score,
    by: Selection,
    *,
    is_kept: bool,
) -> Round:
    after = cost.count(model.network, model.example)
    return Round(
        number,
        threshold,
        after.params,
        after.macs_m,
        after.sparsity,
        cut.top1,
        recovered.top1,
        is_kept,
        cut.mean_recall,
        recovered.mean_recall,
        "mean_recall" if by == "mean_recall" else "top1",
    )


def _told(done: Round, lowest: float) -> str:
    cut, recovered = done.judged
    name = "mean recall" if done.judged_by == "mean_recall" else "top-1"
    text = (
        f"round {done.number}: threshold {done.threshold:.4f}, {done.macs_m:.2f} M MACs, "
        f"{done.params} parameters, {done.sparsity:.1f} % zeros; {name} on validation "
        f"{cut:.2f} % after the cut, {recovered:.2f} % recovered"
    )
    if done.is_kept:
        return text
    useless = "; recovery gained nothing, a lower learning_rate may" if recovered <= cut else ""
    return f"{text}: below {lowest:.2f} %, undone{useless}; pruning stops"


def _compare(before: Classifier, after: Classifier) -> list[LayerChange]:
    """Return, per layer, its cost in both networks."""
    old, new = (_by_name(model) for model in (before, after))
    return [
        LayerChange(
            name,
            *(layer.channels, new[name].channels),
            *(layer.params, new[name].params),
            *(layer.macs, new[name].macs),
            *(layer.zeros, new[name].zeros),
        )
        for name, layer in old.items()
    ]


def _by_name(model: Classifier) -> Mapping[str, LayerCost]:
    return {each.name: each for each in cost.count(model.network, model.example).layers}
