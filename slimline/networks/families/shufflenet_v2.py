"""ShuffleNetV2 (Ma et al., 2018, arXiv:1807.11164), from torchvision, without its shuffles.

As published, each unit splits its channels, works on one half, joins the halves and shuffles. Here
the shuffles are worked out beforehand: a channel is made once, and lies where it is until the one
convolution that reads it. That is the same function without a reshape or transpose, which cost more
time than the arithmetic between them, in training as in float and int8 deployment.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from slimline.networks.architecture import Backbone
from slimline.networks.published import of_torchvision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

Channel = tuple[int, int]
"""The number of the branch that made it, and its position there."""


def work_out_shuffles(network: nn.Module) -> None:
    """Change a ShuffleNetV2 of torchvision, in place, to an equal network without shuffles.

    Within a unit the order of channels is free, since the weights of the convolution behind can
    be put into the same order.
    """
    order: list[int] | None = None
    for name in ("stage2", "stage3", "stage4"):
        units = list(network.get_submodule(name))  # type: ignore[call-overload]
        if order is not None:
            _reorder_first_unit(units[0], order)
        reads = _reads(len(units), num_channels=units[0].branch2[5].out_channels)
        for unit, columns in zip(units[1:], reads.columns, strict=True):
            _reorder_inputs(unit.branch2[0], columns)
        network.set_submodule(name, _stage(units))
        order = reads.last_columns
    assert order is not None
    _reorder_inputs(network.get_submodule("conv5.0"), order)


class _Reads:
    """Which channels each unit of a stage reads, in the order in which they lie."""

    def __init__(self) -> None:
        self.channels: list[list[Channel]] = []
        """Per unit after the first, and last of all what the stage hands on."""
        self.columns: list[list[int]] = []
        """Where each of these stands in the order of the original network; without the last."""
        self.last_columns: list[int] = []


@functools.lru_cache
def _reads(num_units: int, *, num_channels: int) -> _Reads:
    """Follow every channel through the splits and shuffles of a stage."""
    reads = _Reads()
    kept, made = ([(branch, each) for each in range(num_channels)] for branch in (0, 1))
    for unit in range(1, num_units + 1):
        shuffled = [channel for pair in zip(kept, made, strict=True) for channel in pair]
        is_end = unit == num_units
        wanted = shuffled if is_end else shuffled[num_channels:]
        channels = sorted(wanted)
        columns = [wanted.index(channel) for channel in channels]
        reads.channels.append(channels)
        if is_end:
            reads.last_columns = columns
        else:
            reads.columns.append(columns)
        kept, made = shuffled[:num_channels], [(unit + 1, each) for each in range(num_channels)]
    return reads


def _stage(units: Sequence[nn.Module]) -> nn.Module:
    """Return a stage whose units read straight from the branches that made their channels."""
    import torch
    from torch import Tensor, nn

    class Stage(nn.Module):
        """The branches of a stage, joined by splits and concatenations alone.

        All branches make equally many channels; which unit reads which of them follows from that
        number, so that a stage may be made narrower.
        """

        def __init__(self) -> None:
            super().__init__()
            first = units[0].get_submodule("branch1")
            others = (unit.get_submodule("branch2") for unit in units)
            self.branches = nn.ModuleList([first, *others])

        def forward(self, images: Tensor) -> Tensor:
            made = [self._make(branch, images) for branch in (0, 1)]
            for reader in range(len(self.branches) - 2):
                made.append(self._make(reader + 2, self._read(made, reader)))
            return self._read(made, len(self.branches) - 2)

        def _make(self, branch: int, images: Tensor) -> dict[int, Tensor]:
            """Return a branch's channels by the unit that will read them."""
            width = self.branches[0].get_submodule("2").out_channels
            sizes = _sizes(_reads(len(self.branches) - 1, num_channels=width), branch)
            made: Tensor = self.branches[branch](images)
            parts = torch.split(made, list(sizes.values()), dim=1) if len(sizes) > 1 else [made]
            return {reader: parts[position] for position, reader in enumerate(sizes)}

        def _read(self, made: Sequence[dict[int, Tensor]], reader: int) -> Tensor:
            return torch.cat([parts[reader] for parts in made if reader in parts], dim=1)

    return Stage()


def _sizes(reads: _Reads, branch: int) -> dict[int, int]:
    """Return how many channels of a branch each unit reads, in the order in which they lie.

    They lie in unbroken runs: a shuffle sends the second half of every branch to the next unit,
    of the rest the second half to the one after, and so on.
    """
    runs = {
        reader: [position for maker, position in channels if maker == branch]
        for reader, channels in enumerate(reads.channels)
    }
    found = sorted((run[0], reader, len(run)) for reader, run in runs.items() if run)
    assert all(run == list(range(run[0], run[0] + len(run))) for run in runs.values() if run)
    return {reader: size for _, reader, size in found}


def _reorder_first_unit(unit: nn.Module, order: list[int]) -> None:
    """Put a stride-2 unit's inputs into another order; its depthwise branch carries it on."""
    from torch import nn

    _reorder_inputs(unit.get_submodule("branch2.0"), order)
    depthwise, batchnorm, pointwise = (unit.get_submodule(f"branch1.{each}") for each in range(3))
    for module in (depthwise, batchnorm):
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.dim():
                moved = tensor.detach()[order].clone()
                is_weight = isinstance(tensor, nn.Parameter)
                setattr(module, name, nn.Parameter(moved) if is_weight else moved)
    _reorder_inputs(pointwise, order)


def _reorder_inputs(convolution: nn.Module, order: list[int]) -> None:
    from torch import nn

    assert isinstance(convolution, nn.Conv2d)
    convolution.weight = nn.Parameter(convolution.weight.detach()[:, order].clone())


def _v2(name: str) -> Backbone:
    return of_torchvision(
        name,
        stem="conv1.0",
        head="fc.",
        stages=("stage2", "stage3", "stage4", "conv5"),
        rewrite=work_out_shuffles,
    )


X0_5 = _v2("shufflenet_v2_x0_5")
X1_0 = _v2("shufflenet_v2_x1_0")
X1_5 = _v2("shufflenet_v2_x1_5")
X2_0 = _v2("shufflenet_v2_x2_0")
