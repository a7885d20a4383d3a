"""Structured: whole channels go; first those whose removal changes the loss least, to first order.

Molchanov et al., 2019, arXiv:1906.10771: the squared sum of weight times gradient over all weights
of a channel, averaged over batches of labelled images. The gradients are taken on the calibration
split, which neither chooses a model nor scores one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.pruning.settings import PruneSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from slimline.data.split_files import Split
    from slimline.networks.classifier import Classifier
    from slimline.pruning.channel_plan import Scores
    from slimline.pruning.groups import Plan

_BATCH = 50
"""Images per gradient: small enough that batches differ, large enough to be quick."""


class Taylor(PruneSettings):
    """`prune.method: taylor`."""

    removes_macs = True

    method: Literal["taylor"]

    def survey(self, model: Classifier, calibration: Split) -> Plan:
        """Rank channels by what the loss would change by without them."""
        from slimline.pruning.channel_plan import ChannelPlan

        scores = loss_changes(model, calibration)
        return ChannelPlan(model.network, model.example, scores, multiple=self.channel_multiple)


def loss_changes(model: Classifier, calibration: Split) -> Scores:
    """Return the root of the mean squared change per row and column, of layers with weights."""
    from slimline.pruning.channel_flow import PrunableLayer

    layers = {
        name: layer
        for name, layer in model.network.named_modules()
        if isinstance(layer, PrunableLayer) and layer.weight is not None
    }
    found = root_mean_squares(model, calibration, layers, _changes)
    return {name: (rows, columns) for name, (rows, columns) in found.items()}


def root_mean_squares(
    model: Classifier,
    calibration: Split,
    layers: Mapping[str, nn.Module],
    changes_of: Callable[[nn.Module], Sequence[Tensor]],
) -> dict[str, list[Tensor]]:
    """Return the root of the mean over batches of what `changes_of` makes of each layer, squared.

    It is called after the gradients of each batch. In evaluation mode, since with statistics of the
    batch a convolution before BatchNorm has no first-order effect at all: its scale does not matter
    there.
    """
    import torch
    from torch.nn import functional

    from slimline.training import determinism, loader

    network, device = model.network.to(determinism.device()).eval(), determinism.device()
    squares: dict[str, list[Tensor]] = {}
    count = 0
    batches = loader.even_batches(calibration, model.preprocessing, most=_BATCH, device=device)
    for images, labels in batches:
        network.zero_grad()
        loss = functional.cross_entropy(network(images), labels.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        count += 1
        for name, layer in layers.items():
            changes = [change.square() for change in changes_of(layer)]
            before = squares.get(name, [torch.zeros_like(change) for change in changes])
            squares[name] = [old + new for old, new in zip(before, changes, strict=True)]
    network.zero_grad()
    network.cpu()
    return {name: [_root(each, count) for each in sums] for name, sums in squares.items()}


def _changes(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight times gradient, summed over each row and over each column of a layer."""
    change, *bias = (product(weight) for weight in layer.parameters(recurse=False))
    if change.dim() == 1:
        whole = sum(bias, change)
        return whole, whole
    rows, columns = change.flatten(1), change.transpose(0, 1).flatten(1)
    return rows.sum(1), columns.sum(1)


def product(weight: Tensor) -> Tensor:
    """Return weight times gradient, float64: what the loss loses to first order without it.

    A weight without a gradient has no part in the answer.
    """
    import torch

    if weight.grad is None:
        return torch.zeros_like(weight, dtype=torch.float64)
    return weight.detach().double() * weight.grad.double()


def _root(squares: Tensor, count: int) -> Tensor:
    return (squares / count).sqrt().cpu()
