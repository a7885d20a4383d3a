"""How long each layer takes in float and in int8: what `mixed.only_faster` goes by. Free of torch.

The table is measured on purpose, by `python -m benchmarks.int8_times`, and kept in git, since a
stage that measured time itself would write other bytes each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slimline import files
from slimline.errors import ParamsError
from slimline.measure import machine


@dataclass(frozen=True)
class Time:
    """How long a layer takes for one image on one thread, where its neighbours are in int8."""

    weights: int
    """Entries of its weight, by which it is known again."""
    float_us: float
    """Microseconds in float, with all that turns bytes into floats and back."""
    int8_us: float
    """Microseconds in int8."""

    @property
    def is_gain(self) -> bool:
        """Whether int8 takes less time."""
        return self.int8_us < self.float_us


@dataclass(frozen=True)
class Int8Times:
    """The times of a network's layers."""

    cpu: str
    image: Sequence[int]
    """Channels, height, width."""
    layers: Mapping[str, Time]

    def check(self, image: Sequence[int], weights: Mapping[str, int], section: str) -> None:
        """Refuse a table of another network: `weights` are the entries by name of the layer.

        Where it is of another CPU, that is said: it may be the one that the model is for.

        Raises:
            ParamsError: a layer is missing or is of another size, or images are.
        """
        known = {name: time.weights for name, time in self.layers.items()}
        other = next((name for name, count in weights.items() if known.get(name) != count), None)
        if list(self.image) == list(image) and other is None:
            machine.say_if_other(
                self.cpu, "data/int8_times.json", "python -m benchmarks.int8_times"
            )
            return
        what = f"images of {_size(image)}" if other is None else f"layer {other} as it is"
        raise ParamsError(
            [
                f"params.yaml: quantization.mixed.only_faster, for {section}: data/int8_times.json "
                f"was measured for another network: {what} is not in it; run "
                "`python -m benchmarks.int8_times`"
            ]
        )


def _size(image: Sequence[int]) -> str:
    return " x ".join(map(str, image))


def write(path: Path, times: Int8Times) -> None:
    """Write the table as JSON."""
    files.write_json(path, asdict(times))


def read(path: Path) -> Int8Times:
    """Return what `write` wrote."""
    content: dict[str, Any] = files.read_json(path)
    layers = {name: Time(**each) for name, each in content["layers"].items()}
    return Int8Times(content["cpu"], content["image"], layers)
