"""Which layers of an int8 model run in float, and why: kept in the `model.json` of its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class LayerChoice:
    """A convolution or linear layer, and what is known of it in int8. None: was not measured."""

    layer: str
    lost: float | None
    """Points of validation accuracy that the float network loses with this layer alone in int8."""
    regained: float | None
    """Points that the int8 network gains with this layer alone in float."""
    float_us: float | None
    """Time for one image in float between neighbours in int8, microseconds."""
    int8_us: float | None
    """Time in int8."""
    reason: str
    """Why it runs in float: named, accuracy or time; empty for a layer in int8."""

    @property
    def is_float(self) -> bool:
        """Whether it runs in float."""
        return bool(self.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    def to_row(self) -> dict[str, Any]:
        """Return the fields as cells of a table, empty where nothing was measured."""
        return {key: "" if value is None else value for key, value in asdict(self).items()}


COLUMNS = [field.name for field in fields(LayerChoice)]


def read(description: Mapping[str, Any]) -> list[LayerChoice]:
    """Return the layers in a quantized model's `model.json`; none where nothing was asked for."""
    return [LayerChoice(**each) for each in description["mixed"]]


def float_layers(found: Sequence[LayerChoice]) -> list[str]:
    """Return the names of the layers that run in float."""
    return [each.layer for each in found if each.is_float]
