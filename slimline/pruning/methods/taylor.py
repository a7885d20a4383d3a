"""Structured: whole channels go; first those whose removal changes the loss least, to first order.

Molchanov et al., 2019, arXiv:1906.10771: the squared sum of weight times gradient over all weights
of a channel, averaged over batches of labelled images. The gradients are taken on the calibration
split, which neither chooses a model nor scores one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.pruning.settings import PruneSettings

if TYPE_CHECKING:
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
    """Return the root of the mean squared change per row and column of every layer.

    In evaluation mode, since with statistics of the batch a convolution before BatchNorm has no
    first-order effect at all: its scale does not matter there.
    """
    import torch
    from torch.nn import functional

    from slimline.pruning.channel_flow import PrunableLayer
    from slimline.training import determinism, loader

    network, device = model.network.to(determinism.device()).eval(), determinism.device()
    layers = {
        name: layer for name, layer in network.named_modules() if isinstance(layer, PrunableLayer)
    }
    squares: dict[str, list[Tensor]] = {}
    count = 0
    batches = loader.fixed_batches(calibration, model.preprocessing, size=_BATCH, device=device)
    for images, labels in batches:
        network.zero_grad()
        loss = functional.cross_entropy(network(images), labels.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        count += 1
        for name, layer in layers.items():
            changes = [change.square() for change in _changes(layer)]
            before = squares.get(name, [torch.zeros_like(change) for change in changes])
            squares[name] = [old + new for old, new in zip(before, changes, strict=True)]
    network.zero_grad()
    network.cpu()
    return {
        name: (_root(rows, count), _root(columns, count))
        for name, (rows, columns) in squares.items()
    }


def _changes(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight times gradient, summed over each row and over each column of a layer."""
    product, *bias = (_product(weight) for weight in layer.parameters(recurse=False))
    if product.dim() == 1:
        whole = sum(bias, product)
        return whole, whole
    rows, columns = product.flatten(1), product.transpose(0, 1).flatten(1)
    return rows.sum(1), columns.sum(1)


def _product(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.detach().double() * weight.grad.double()


def _root(squares: Tensor, count: int) -> Tensor:
    return (squares / count).sqrt().cpu()
