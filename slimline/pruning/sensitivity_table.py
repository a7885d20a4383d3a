"""What each layer can bear: the result of stage `sensitivity`, and the rates that follow from it.

Free of torch. The scan itself is made in `slimline.pruning.sensitivity`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimline import files
from slimline.errors import ParamsError
from slimline.training.settings import Selection

_SLOPE = 0.001
"""Points that a whole layer costs at least: where a scan saw no loss, more still counts as more."""

_BISECTIONS = 60


@dataclass(frozen=True)
class GroupSensitivity:
    """One measurement: a share of one group of layers removed, and nothing else."""

    layers: str
    """Names of the layers that are pruned together, separated by spaces."""
    share: float
    """Of the group's importance."""
    top1: float
    """Percent of the validation images."""
    lost: float
    """Percentage points of top-1 against the network as it was."""
    lost_recall: float
    """Percentage points of mean recall, every class counting alike, likewise."""

    def lost_by(self, by: Selection) -> float:
        """Return the points lost of what training selects by; of a loss, which is none, top-1."""
        return self.lost_recall if by == "mean_recall" else self.lost


@dataclass(frozen=True)
class SensitivityScan:
    """The measurements of all layers; of none, if no scan was asked for."""

    rows: Sequence[GroupSensitivity]
    by: Selection = "top1"
    """What accuracy means."""

    def shares(self, names: Sequence[str], mean: float) -> list[float]:
        """Return the share of each layer that may go, all at an equal price in accuracy.

        `names` are the first layers of the groups. The price is the one at which the shares are
        `mean` on average: what a threshold means for all layers alike.

        Raises:
            ParamsError: a layer was not scanned, or no price reaches so far.
        """
        curves = [self._curve(name) for name in names]
        largest = self._mean_at(curves, np.inf)
        if mean > largest + 1e-9:
            raise ParamsError(
                [
                    f"params.yaml: prune.threshold: the scan reaches {largest:.3f} of the layers "
                    f"on average (given {mean:.3f}); sensitivity.shares may go further"
                ]
            )
        low, high = 0.0, max(float(lost[-1]) for lost, _ in curves)
        for _ in range(_BISECTIONS):
            price = (low + high) / 2
            low, high = (low, price) if self._mean_at(curves, price) >= mean else (price, high)
        return [float(np.interp(high, lost, shares)) for lost, shares in curves]

    def largest_mean(self, names: Sequence[str]) -> float:
        """Return the largest mean share that `shares` can give."""
        return self._mean_at([self._curve(name) for name in names], np.inf)

    @staticmethod
    def _mean_at(curves: Sequence[tuple[NDArray[np.float64], ...]], price: float) -> float:
        return float(np.mean([np.interp(price, lost, shares) for lost, shares in curves]))

    def _curve(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points lost and shares of a layer, both rising from 0."""
        measured: Mapping[float, float] = {
            row.share: row.lost_by(self.by) for row in self.rows if row.layers.split(" ")[0] == name
        }
        if not measured:
            raise ParamsError(
                [
                    f"params.yaml: prune.rates: auto needs layer {name}, which the scan has not; "
                    "run `dvc repro sensitivity` with sensitivity.shares, as [0.2, 0.4, 0.6]"
                ]
            )
        shares = np.array([0.0, *sorted(measured)])
        lost = np.array([0.0, *(measured[share] for share in shares[1:].tolist())])
        return np.maximum.accumulate(np.maximum(lost, 0)) + _SLOPE * shares, shares


COLUMNS = [field.name for field in fields(GroupSensitivity)]


def write(path: Path, rows: Sequence[GroupSensitivity]) -> None:
    """Write the measurements as a table; a header alone where nothing was scanned."""
    files.write_table(path, [vars(row) for row in rows], header=COLUMNS)


def read(path: Path, by: Selection = "top1") -> SensitivityScan:
    """Return what `write` wrote; `by` is what pruning judges accuracy by."""
    rows = ([*row.values()] for row in files.read_table(path))
    return SensitivityScan(
        [GroupSensitivity(layers, *map(float, figures)) for layers, *figures in rows], by
    )
