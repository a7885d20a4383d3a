"""Which weights each trained model has, and where they were made, as git keeps it.

Two models were trained alike if their weights are the same bytes. The same code, params and data
give other bytes on another type of CPU or by other kernels: such a model was trained anew, and its
accuracy carries the noise of that (`slimline.measure.training_noise`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from slimline import files
from slimline.measure.variant_figures import ResultsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE = "trainings.tsv"
"""In `metrics/history`."""

_CIRCUMSTANCES = {
    "on another device": ("device",),
    "on another type of CPU": ("cpu", "kernels"),
    "with another number of threads": ("num_threads",),
    "by another torch": ("torch",),
}
"""Fields by what is said where they differ."""


@dataclass(frozen=True)
class Training:
    """One model; all as its `model.json` tells, empty where an older one does not."""

    model: str
    weights: str
    """SHA-256 of `weights.safetensors`."""
    device: str
    cpu: str
    kernels: str
    """The instructions that torch's kernels were chosen for, as AVX2."""
    num_threads: str
    torch: str

    def differs_in(self, other: Training) -> str:
        """Return how the circumstances differ from those of another training, in words.

        What either of them does not tell is no difference.
        """
        return "; ".join(
            f"{words} ({_joined(here)}, there {_joined(there)})"
            for words, keys in _CIRCUMSTANCES.items()
            for here, there in [(_values(self, keys), _values(other, keys))]
            if any(one and two and one != two for one, two in zip(here, there, strict=True))
        )


def of(model: str, content: Mapping[str, Any]) -> Training:
    """Return what a `model.json` tells of its training."""
    given = {"weights": content["sha256"].get("weights", ""), **content.get("made_with", {})}
    names = [each.name for each in fields(Training)]
    return Training(**{name: str(given.get(name, "")) for name in names} | {"model": model})


def write(history: Path, trainings: list[Training]) -> None:
    """Write the table into a folder of histories."""
    header = [each.name for each in fields(Training)]
    files.write_table(history / FILE, [asdict(each) for each in trainings], header=header)


def read(history: Path) -> dict[str, Training]:
    """Return the table by model; empty where it is of a commit that did not keep it.

    Raises:
        ResultsError: the file is damaged.
    """
    path = history / FILE
    if not path.is_file():
        return {}
    try:
        return {row["model"]: Training(**row) for row in files.read_table(path)}
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{path}: is not what stage report writes: {error}") from None


def _values(training: Training, keys: Sequence[str]) -> list[str]:
    return [getattr(training, key) for key in keys]


def _joined(values: Sequence[str]) -> str:
    return " ".join(filter(None, values))
