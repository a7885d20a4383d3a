"""What pruning did, layer by layer, and what the scan before it said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Round:
    """A round of pruning, 0 the model as it came; units as in `slimline.pruning.rounds`."""

    number: int
    threshold: float
    params: int
    macs_m: float
    sparsity: float
    top1_cut: float
    top1_recovered: float
    is_kept: bool


@dataclass(frozen=True)
class LayerChange:
    """A convolution or linear layer before and after pruning; raw counts."""

    layer: str
    channels_before: int
    channels_after: int
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    zeros_before: int
    zeros_after: int

    @property
    def macs_share(self) -> float:
        """Percent of the multiply-accumulates that are left."""
        return 100 * self.macs_after / self.macs_before

    @property
    def sparsity(self) -> float:
        """Percent of the parameters left that are zero weights."""
        return 100 * self.zeros_after / self.params_after


@dataclass(frozen=True)
class LayerLoss:
    """What a group of layers bears: validation points lost at each share of `Scan.shares`."""

    layers: str
    """Names, separated by spaces."""
    lost: Sequence[float]


@dataclass(frozen=True)
class Scan:
    """The table of stage `sensitivity`; empty where no scan was asked for."""

    shares: Sequence[float]
    rows: Sequence[LayerLoss]


def rounds(description: Mapping[str, Any]) -> list[Round]:
    """Return the rounds in a pruned model's `model.json`."""
    return [Round(**each) for each in description["rounds"]]


def layers(description: Mapping[str, Any]) -> list[LayerChange]:
    """Return the layers in a pruned model's `model.json`."""
    return [LayerChange(**each) for each in description["layers"]]


def read_scan(path: Path) -> Scan:
    """Return the table of stage `sensitivity`, a row per group of layers."""
    header, *lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    found = [dict(zip(header, cells, strict=True)) for cells in lines]
    names = dict.fromkeys(row["layers"] for row in found)
    shares = sorted({float(row["share"]) for row in found})
    lost = {(row["layers"], float(row["share"])): float(row["lost"]) for row in found}
    return Scan(shares, [LayerLoss(name, [lost[name, each] for each in shares]) for name in names])
