"""The figures of one deployable model, read from its two metric files."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from slimline.core import description, serialize
from slimline.core.errors import SlimlineError

VARIANTS = (
    "baseline_train",
    "backbone_swap",
    "prune",
    "int8_export",
    "int8_ptq",
    "int8_dynamic",
)
"""In the order of the pipeline: the chain to the product, then what it is compared with."""

CHAIN = VARIANTS[:4]
"""From the baseline to the product, each made from the one before it."""

BASELINE, PRODUCT = "baseline_train", "int8_export"
PRODUCT_FILE = f"models/{PRODUCT}/{description.ONNX}"
"""As DVC names it: what is shipped."""

_HEADLINE = ("top1", "size_kib", "macs_m", "p50_ms", "speedup")


class ResultsError(SlimlineError):
    """A metric file is missing, damaged, or of another time than the others."""


@dataclass(frozen=True)
class Variant:
    """One row of the report. Units as in the metric files, see `slimline.measure`."""

    name: str
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


def load(evaluate: Path, latency: Path, names: Sequence[str]) -> list[Variant]:
    """Return the variants in the given order.

    Raises:
        FileNotFoundError: a metric file is missing.
        ResultsError: one is damaged, or lacks a figure.
    """
    known = {field.name: field.default for field in fields(Variant) if field.name != "name"}
    needed = {key for key, default in known.items() if default is MISSING}
    variants = []
    for name in names:
        found = read_json(evaluate / f"{name}.json") | read_json(latency / f"{name}.json")
        lacking = ", ".join(sorted(needed - set(found)))
        if lacking:
            raise ResultsError(f"{evaluate / name}.json: lacks {lacking}; run `dvc repro`")
        variants.append(Variant(name=name, **{key: found[key] for key in found if key in known}))
    return variants


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a metric file.

    Raises:
        ResultsError: it is no JSON, as after a merge with conflicts.
    """
    try:
        return serialize.read_json(path)
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path}: is no JSON: {error}") from None
