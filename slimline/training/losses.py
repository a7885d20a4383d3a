"""What a training step is graded by: labels, weighted and smoothed, and a teacher's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from slimline.training import divergence, loader, memory_order
from slimline.training.settings import Distill, DistilledRecipe, Recipe

if TYPE_CHECKING:
    from slimline.data.split_files import Split


class Lesson:
    """What a step is graded by: the labels, and late in the run a teacher as well."""

    def __init__(
        self,
        train: Split,
        recipe: Recipe,
        teacher: nn.Module | None,
        device: torch.device,
        steps: int,
    ) -> None:
        self._smoothing = recipe.label_smoothing
        self._is_mixed = recipe.step.precision == "bfloat16"
        self._class_weights: Tensor | None = None
        if recipe.balance == "weights":
            weights = loader.class_weights(train)
            self._class_weights = torch.from_numpy(weights).to(device, torch.float32)
        self._distill: Distill | None = None
        if isinstance(recipe, DistilledRecipe) and recipe.distill.weight > 0:
            assert teacher is not None, "a recipe with distillation needs a teacher"
            self._distill, self._teacher = recipe.distill, teacher.eval()
            divergence.refuse_infinite(self._teacher, what="the teacher")
            self._teacher.to(device)
            self._layout: torch.memory_format | None = None
            self._first_step = steps - round(recipe.distill.last * steps) + 1

    def loss(self, logits: Tensor, images: Tensor, labels: Tensor, step: int) -> Tensor:
        """Return the loss, a scalar, of the logits [batch, classes] that a step, from 1, gave.

        Whatever precision networks have, logits come in float32, and so is all that is done here.
        """
        loss = weighted_loss(logits, labels, self._class_weights, self._smoothing)
        if self._distill is None or step < self._first_step:
            return loss
        if self._layout is None:
            self._layout = memory_order.of(self._teacher, images[:2])
            self._teacher.to(memory_format=self._layout)
        with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, self._is_mixed):
            answers = self._teacher(images.to(memory_format=self._layout)).float()
        return (
            self._distill.weight * distillation_loss(logits, answers, self._distill.temperature)
            + (1 - self._distill.weight) * loss
        )


def weighted_loss(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None, smoothing: float
) -> Tensor:
    """Return the cross-entropy with smoothed labels, images weighted by their class.

    `labels` are int64 [batch], or shares of classes, float32 [batch, classes]. torch's own
    `weight` counts within the sum over classes as well: with smoothing a class of weight 100 is
    then the best answer to every image. Here a weight is one of images: smoothing is the same for
    all. Weights are 1 on average over the training images, so that the mean over the images of a
    part of a batch is weighed as that of the whole.
    """
    if class_weights is None:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    losses = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    weights = labels @ class_weights if labels.is_floating_point() else class_weights[labels]
    return (losses * weights).mean()


def distillation_loss(logits: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Return the divergence of softened answers, times temperature squared.

    Both are [batch, classes]. The square keeps the gradient's size independent of the temperature
    (Hinton et al., 2015, arXiv:1503.02531, section 2).
    """
    student = functional.log_softmax(logits / temperature, dim=1)
    teacher = functional.log_softmax(answers / temperature, dim=1)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2
