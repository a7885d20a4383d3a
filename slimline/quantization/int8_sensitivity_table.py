"""What each layer costs in int8: the table of stage `int8_sensitivity`. Free of torch.

The scan itself is made in `slimline.quantization.int8_sensitivity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from slimline import files
from slimline.training.settings import Selection


@dataclass(frozen=True)
class LayerSensitivity:
    """Two measurements of one layer on validation, top-1 in percent."""

    layer: str
    top1_alone: float
    """With this layer in int8 and all others in float."""
    lost: float
    """Percentage points of that against the float network."""
    top1_without: float
    """With this layer in float and all others in int8."""
    regained: float
    """Percentage points of that against the network all in int8."""
    lost_recall: float
    """As `lost`, of mean recall, every class counting alike."""
    regained_recall: float
    """As `regained`, of mean recall."""

    def change_by(self, by: Selection) -> tuple[float, float]:
        """Return points lost and regained of what training selects by; of a loss, top-1."""
        if by == "mean_recall":
            return self.lost_recall, self.regained_recall
        return self.lost, self.regained


COLUMNS = [field.name for field in fields(LayerSensitivity)]


def write(path: Path, rows: Sequence[LayerSensitivity]) -> None:
    """Write the measurements as a table; a header alone where nothing was scanned."""
    files.write_table(path, [vars(row) for row in rows], header=COLUMNS)


def read(path: Path) -> list[LayerSensitivity]:
    """Return what `write` wrote."""
    rows = ([*row.values()] for row in files.read_table(path))
    return [LayerSensitivity(layer, *map(float, figures)) for layer, *figures in rows]
