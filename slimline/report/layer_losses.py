"""The table of stage `sensitivity`, as the report arranges it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimline import files


@dataclass(frozen=True)
class LayerLoss:
    """What a group of layers bears: points of validation lost at each of `shares`."""

    layers: str
    """Names, separated by spaces."""
    lost: Sequence[float]


@dataclass(frozen=True)
class LayerLosses:
    """What each layer bears; empty where no scan was asked for."""

    shares: Sequence[float]
    rows: Sequence[LayerLoss]


def read(path: Path) -> LayerLosses:
    """Return the table, a row per group of layers."""
    found = files.read_table(path)
    names = dict.fromkeys(row["layers"] for row in found)
    shares = sorted({float(row["share"]) for row in found})
    lost = {(row["layers"], float(row["share"])): float(row["lost"]) for row in found}
    return LayerLosses(
        shares, [LayerLoss(name, [lost[name, each] for each in shares]) for name in names]
    )
