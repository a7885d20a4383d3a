"""What does each layer bear? One layer at a time loses a share, and validation says what it costs.

What follows from the table is in `slimline.pruning.sensitivity_table`.
"""

import copy
from dataclasses import replace

import numpy as np

from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.pruning import batchnorm_statistics, widths
from slimline.pruning.groups import Plan
from slimline.pruning.sensitivity_table import GroupSensitivity
from slimline.pruning.settings import PruneSettings, SensitivityParams
from slimline.training import loop
from slimline.training.scores import Score


def scan(
    model: Classifier,
    calibration: Split,
    validation: Split,
    settings: SensitivityParams,
    method: PruneSettings,
) -> list[GroupSensitivity]:
    """Return a row per group of layers and share; no row where no share is asked for.

    The model is left alone. Each measurement begins with the model as it was and recomputes its
    BatchNorm statistics, as pruning does; nothing is trained. Of `method`, what ranks and what can
    go counts, and not how much.
    """
    if not settings.shares:
        return []
    judged = _first(validation, settings.images)
    before = loop.measure(model.network, judged, model.preprocessing)
    plan = method.survey(model, calibration)
    rows = []
    for index, group in enumerate(plan.groups):
        for share in settings.shares:
            found = _measure(model, plan, index, share, calibration, judged)
            lost = before.top1 - found.top1, before.mean_recall - found.mean_recall
            rows.append(GroupSensitivity(" ".join(group.layers), share, found.top1, *lost))
        told = ", ".join(f"{row.lost:.2f}" for row in rows[-len(settings.shares) :])
        print(f"layer {index + 1} of {len(plan.groups)}: {group.layers[0]}: {told} points lost")
    return rows


def _measure(
    model: Classifier, plan: Plan, index: int, share: float, calibration: Split, judged: Split
) -> Score:
    """Return the score on validation without a share of one group."""
    own = copy.deepcopy(plan)
    widths.remove_share(own.groups[index], share)
    own.apply()
    pruned = model.with_network(own.network)
    batchnorm_statistics.recompute(pruned, calibration)
    return loop.measure(own.network, judged, model.preprocessing)


def _first(split: Split, count: int) -> Split:
    """Return the first images of a split; all for 0."""
    if count == 0 or count >= len(split):
        return split
    rows = np.arange(count)
    return replace(split, images=split_files.take(split.images, rows), labels=split.labels[:count])
