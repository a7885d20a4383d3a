"""The figures of one deployable model, read from its two metric files."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from slimline.core import serialize

VARIANTS = (
    "baseline_train",
    "backbone_swap",
    "prune",
    "int8_export",
    "int8_ptq",
    "int8_dynamic",
)
"""In the order of the pipeline: the chain to the product, then what it is compared with."""

BASELINE, PRODUCT = "baseline_train", "int8_export"


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
    def is_int8(self) -> bool:
        """Whether ONNX Runtime executes any of it in int8."""
        return self.int8_macs > 0


def load(evaluate: Path, latency: Path, names: Sequence[str]) -> list[Variant]:
    """Return the variants in the given order."""
    known = {field.name for field in fields(Variant)}
    variants = []
    for name in names:
        found = serialize.read_json(evaluate / f"{name}.json")
        found |= serialize.read_json(latency / f"{name}.json")
        variants.append(Variant(name=name, **{key: found[key] for key in known & set(found)}))
    return variants
