"""When training fails: what is not finite ends it at once, what only explodes is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slimline.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor, nn

_EXPLODED = 3
"""Times the loss that a run had reached before: more than any batch is harder than another."""

_SHOWN = 3


def explodes(losses: Sequence[float]) -> bool:
    """Return whether a run lost what it had learnt: a mean loss far above an earlier one.

    `losses` are the means between validations, in order; what was not measured is nan.
    """
    least = math.inf
    for loss in losses:
        if loss > _EXPLODED * least:
            return True
        least = loss if loss < least else least
    return False


def refuse_infinite(network: nn.Module, *, what: str) -> None:
    """Look at every weight and statistic of a network; `what` says which network it is.

    Raises:
        TrainingError: some are not finite.
    """
    import torch

    # Fake-quant has buffers that are infinite until they have seen an image.
    statistics = (
        each
        for each in network.named_buffers()
        if each[0].endswith(("running_mean", "running_var"))
    )
    names = [
        name
        for name, tensor in [*network.named_parameters(), *statistics]
        if not bool(torch.isfinite(tensor).all())
    ]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise TrainingError(
            f"{what} has weights that are not finite: {', '.join(names[:_SHOWN])}{more}; it was "
            "spoiled before this stage: make it anew, at a lower learning_rate"
        )


def refuse_infinite_normalisation(mean: Sequence[float], std: Sequence[float]) -> None:
    """Look at what images are normalised with.

    Raises:
        TrainingError: a mean is not finite, or a std is not above 0.
    """
    if not all(map(math.isfinite, [*mean, *std])) or min(std) <= 0:
        raise TrainingError(
            f"images cannot be normalised with mean {list(mean)} and std {list(std)}: each std "
            "must be above 0; `dvc repro --force prepare_data` measures them anew"
        )


def refuse_infinite_loss(loss: float, phase: str) -> None:
    """Look at the loss on validation of the network that training begins with.

    Nothing compares with nan: no state that training reaches would be better.

    Raises:
        TrainingError: it is not finite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"{phase}: the network that training begins with has a loss of {loss} on validation, "
            "although its weights are finite: its answers overflow. It was spoiled before this "
            "stage: make it anew, at a lower learning_rate"
        )


def error(phase: str, *, step: int, steps: int, rate: float, what: str) -> TrainingError:
    """Return what is said of a run that ended in numbers that are not finite."""
    return TrainingError(
        f"{phase}: training diverged at step {step} of {steps}: {what}; nothing of it is kept. "
        f"The learning rate was {rate:.3g} there: try a tenth of learning_rate, a larger "
        "batch_size, or optimizer adamw"
    )


def first_infinite(losses: Sequence[Tensor]) -> int | None:
    """Return the place of the first loss that is not finite."""
    import torch

    found = torch.nonzero(~torch.isfinite(torch.stack(list(losses))))
    return int(found[0]) if len(found) else None
