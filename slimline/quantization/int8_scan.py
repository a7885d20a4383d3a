"""What each layer costs in int8: the table of stage `int8_sensitivity`. Free of torch.

The scan itself is made in `slimline.quantization.sensitivity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from slimline.core import serialize


@dataclass(frozen=True)
class Row:
    """Two measurements of one layer; accuracy is percent of the validation images."""

    layer: str
    top1_alone: float
    """With this layer in int8 and all others in float."""
    lost: float
    """Percentage points of that against the float network."""
    top1_without: float
    """With this layer in float and all others in int8."""
    regained: float
    """Percentage points of that against the network all in int8."""


COLUMNS = [field.name for field in fields(Row)]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the measurements as a table; a header alone where nothing was scanned."""
    serialize.write_tsv(path, [vars(row) for row in rows], header=COLUMNS)


def read(path: Path) -> list[Row]:
    """Return what `write` wrote."""
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    cells = (line.split("\t") for line in lines)
    return [Row(layer, *map(float, figures)) for layer, *figures in cells]
