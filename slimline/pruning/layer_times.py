"""How long each layer takes by its width: what a latency target goes by.

The table is measured on purpose, by `python -m benchmarks.layer_times`, and kept in git, since a
stage that measured time itself would write other bytes each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slimline import files
from slimline.errors import ParamsError
from slimline.measure import machine
from slimline.pruning.cost import Cost

TimeCurve = Sequence[tuple[float, float]]
"""Points (multiply-accumulates, microseconds), from narrow to wide."""


@dataclass(frozen=True)
class LayerTimes:
    """The int8 times of a network's layers at several widths, one image, one thread."""

    cpu: str
    layers: Mapping[str, TimeCurve]
    """By the name of a convolution or linear layer."""
    rest: TimeCurve
    """Everything else, by the multiply-accumulates of the whole network."""

    def check(self, whole: Cost) -> None:
        """Refuse a table of another network, and say where it is of another CPU.

        That is right where the pruned model runs there, and this machine only trains it.

        Raises:
            ParamsError: a layer is missing, or is of another size.
        """
        for layer in whole.layers:
            curve = self.layers.get(layer.name)
            if curve is None or curve[-1][0] != layer.macs:
                raise ParamsError(
                    [
                        "params.yaml: prune.target.latency: data/layer_times.json was measured "
                        f"for another network: layer {layer.name} of {layer.macs} "
                        "multiply-accumulates is not in it; "
                        "run `python -m benchmarks.layer_times`"
                    ]
                )

        machine.say_if_other(self.cpu, "data/layer_times.json", "python -m benchmarks.layer_times")

    def microseconds(self, cost: Cost) -> float:
        """Return what a network of these layers takes, interpolated in multiply-accumulates."""
        own = (_at(self.layers[layer.name], layer.macs) for layer in cost.layers)
        return sum(own) + _at(self.rest, cost.macs)


def _at(curve: TimeCurve, macs: float) -> float:
    sizes, times = zip(*curve, strict=True)
    return float(np.interp(macs, sizes, times))


def write(path: Path, times: LayerTimes) -> None:
    """Write the table as JSON."""
    files.write_json(path, vars(times))


def read(path: Path) -> LayerTimes:
    """Return what `write` wrote."""
    content: dict[str, Any] = files.read_json(path)
    return LayerTimes(content["cpu"], content["layers"], content["rest"])
