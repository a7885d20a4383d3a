"""The figures of one deployable model, read from its two metric files."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from slimline import files
from slimline.errors import SlimlineError
from slimline.variants import Declared, Role

_HEADLINE = ("top1", "size_kib", "macs_m", "p50_ms", "speedup")


class ResultsError(SlimlineError):
    """A metric file is missing, damaged, or of another time than the others."""


@dataclass(frozen=True)
class Variant:
    """One row of the report. Units as in the metric files, see `slimline.measure`."""

    name: str
    role: Role
    parent: str
    """Name of the variant that it was made from; empty for the baseline."""
    top1: float
    top1_low: float
    top1_high: float
    agreement: float
    loss: float
    size_kib: float
    size_zip_kib: float
    params: int
    sparsity: float
    macs_m: float
    int8_macs: float
    p50_ms: float
    p95_ms: float
    images_per_s: float
    peak_rss_mib: float
    speedup: float
    cpu: str
    cpu_flags: str
    ece: float | None = None
    """None where the figures are of a commit that did not measure it."""
    mean_recall: float | None = None
    """None likewise."""
    least_recall: float | None = None
    """None likewise."""

    @property
    def top1_margin(self) -> float:
        """Half the width of the 95 % interval of top-1, points."""
        return (self.top1_high - self.top1_low) / 2

    @property
    def machine(self) -> tuple[str, str]:
        """What the latency belongs to: figures of another CPU, or other features, are others."""
        return self.cpu, self.cpu_flags

    @property
    def computation(self) -> tuple[float, ...]:
        """What decides how fast it is on one machine."""
        return self.size_kib, self.params, self.macs_m, self.int8_macs

    @property
    def headline(self) -> dict[str, float]:
        """The figures to compare experiments by, under names that no other metric file has.

        Of a name that several files have, `dvc exp show` prints the path as well, and two of those
        fill a terminal.
        """
        return {f"product_{name}": getattr(self, name) for name in _HEADLINE}

    @property
    def is_int8(self) -> bool:
        """Whether ONNX Runtime executes any of it in int8."""
        return self.int8_macs > 0


def load(metrics: Path, declared: Sequence[Declared]) -> list[Variant]:
    """Return the variants in the given order, from `evaluate` and `latency` in a folder of metrics.

    Raises:
        FileNotFoundError: a metric file is missing.
        ResultsError: one is damaged, or lacks a figure.
    """
    known = {field.name: field.default for field in fields(Variant)}
    needed = {key for key, default in known.items() if default is MISSING} - set(vars(declared[0]))
    variants = []
    for each in declared:
        scored = metrics / "evaluate" / f"{each.name}.json"
        found = read_json(scored) | read_json(metrics / "latency" / f"{each.name}.json")
        lacking = ", ".join(sorted(needed - set(found)))
        if lacking:
            raise ResultsError(f"{scored}: lacks {lacking}; run `dvc repro`")
        figures = {key: found[key] for key in found if key in known}
        variants.append(Variant(**vars(each), **figures))
    return variants


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a metric file.

    Raises:
        ResultsError: it is no JSON, as after a merge with conflicts.
    """
    try:
        return files.read_json(path)
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path}: is no JSON: {error}") from None
