"""Moves a task onto an efficient backbone: new head first, then all layers, with a teacher.

The order is what practitioners use with pretrained weights: a random head would wreck good
features with its first gradients, so it is trained alone until it fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.core.recipe import DistilledRecipe, ModelParams, Recipe

if TYPE_CHECKING:
    from slimline.core.classifier import Classifier
    from slimline.core.data import Split
    from slimline.core.training import Row


class BackboneSwapParams(ModelParams):
    """Section `backbone_swap`."""

    pretrained: Literal["none", "imagenet"]
    """Weights to begin with; the head is always new."""

    frozen: Recipe
    """First phase: only the head is trained, all else is frozen."""

    unfrozen: DistilledRecipe
    """Second phase: all layers, taught by the baseline."""


def swap(
    teacher: Classifier,
    train: Split,
    validation: Split,
    settings: BackboneSwapParams,
    *,
    seed: int,
) -> tuple[Classifier, list[Row]]:
    """Return a trained classifier on the new backbone, and its learning curve.

    Raises:
        ParamsError: the backbone has no pretrained weights.
    """
    from slimline.core import classifier, training

    student = classifier.build(settings, train, pretrained=settings.pretrained)
    network = student.network
    rows = []
    for name, weight in network.named_parameters():
        weight.requires_grad = name.startswith(student.head)
    for phase, recipe in (("frozen", settings.frozen), ("unfrozen", settings.unfrozen)):
        rows += training.fit(
            network,
            train,
            validation,
            recipe,
            preprocessing=student.preprocessing,
            seed=seed,
            phase=phase,
            teacher=classifier.adapted(teacher, student.preprocessing)
            if phase == "unfrozen"
            else None,
        )
        network.requires_grad_(True)
    return student, rows
