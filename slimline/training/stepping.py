"""One step of a training: forward, backward, update, as `training.step` says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from slimline.errors import ParamsError
from slimline.params import PARAMS_PATH
from slimline.training import determinism, processes

if TYPE_CHECKING:
    from slimline.training.losses import Lesson
    from slimline.training.settings import Recipe, Step

_WITH_TF32 = (8, 0)
"""Compute capability of the first NVIDIA GPUs that have it."""


class Stepper:
    """Makes the steps of one training.

    Raises:
        ParamsError: this device does not have the precision.
    """

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, lesson: Lesson, recipe: Recipe
    ) -> None:
        self._network, self._optimizer, self._lesson = network, optimizer, lesson
        self._settings, self._batch_size = recipe.step, recipe.batch_size
        self._device = determinism.device().type
        _refuse_missing(recipe.step, self._device)
        self._wrapped = processes.wrap(network)
        self._forward: Any = self._wrapped
        if recipe.step.compile:
            # Else torch silently gives up at the ninth network of a kind, as in rounds of pruning.
            torch.compiler.reset()
            self._forward = torch.compile(self._wrapped)
        self.average: AveragedModel | None = None
        """What the weights are on average, where `ema` asks for it."""
        if recipe.step.ema:
            update = get_ema_multi_avg_fn(recipe.step.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(network, multi_avg_fn=update)

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights, if there is one."""
        return self._network if self.average is None else self.average.module

    def take(self, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """Update the weights once, and return the mean loss of the batch, a scalar.

        `images` are this process's share of the batch, float32 [share, channels, height, width],
        `labels` as `Lesson.loss` takes them; `number` is the step's, from 1.
        """
        self._optimizer.zero_grad()
        count = min(self._settings.accumulate, len(images))
        parts = list(zip(images.tensor_split(count), labels.tensor_split(count), strict=True))
        losses = []
        for place, (some, theirs) in enumerate(parts, start=1):
            with self._products(), self._summing(is_last=place == count):
                loss = self._weighted_loss(some, theirs, number)
                loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        if self._settings.clip_norm:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip_norm)
        self._optimizer.step()
        return processes.mean(losses[0] if count == 1 else torch.stack(losses).sum())

    def follow(self) -> None:
        """Let the average follow the weights as they are now."""
        if self.average is not None:
            self.average.update_parameters(self._network)

    def _weighted_loss(self, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """Return the loss of a part, by its number of images.

        Over the parts its sum, over the processes its mean is that of the batch.
        """
        is_mixed = self._settings.precision == "bfloat16"
        with torch.autocast(self._device, torch.bfloat16, enabled=is_mixed):
            logits = self._forward(images)
        loss = self._lesson.loss(logits.float(), images, labels, number)
        weight = len(images) * processes.count() / self._batch_size
        return loss if weight == 1 else loss * weight

    @contextmanager
    def _products(self) -> Iterator[None]:
        """Multiply as `precision` says for a forward and backward pass; else in full float32."""
        determinism.allow_tf32(self._settings.precision == "tf32")
        try:
            yield
        finally:
            determinism.allow_tf32(False)

    def _summing(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Return where processes wait for each other's gradients: at the last part alone."""
        if isinstance(self._wrapped, DistributedDataParallel) and not is_last:
            waiting: AbstractContextManager[None] = self._wrapped.no_sync()
            return waiting
        return nullcontext()


def _refuse_missing(step: Step, device: str) -> None:
    if step.precision == "float32":
        return
    is_gpu, known = device == "cuda", ["float32"]
    if is_gpu and torch.cuda.get_device_capability() >= _WITH_TF32:
        known.append("tf32")
    if not is_gpu or torch.cuda.is_bf16_supported(including_emulation=False):
        known.append("bfloat16")
    if step.precision not in known:
        name = torch.cuda.get_device_name() if is_gpu else f"this machine's {device}"
        raise ParamsError(
            [
                f"{PARAMS_PATH}: training.step.precision: {name} has no {step.precision}: "
                f"{' or '.join(known)} (given {step.precision})"
            ]
        )
