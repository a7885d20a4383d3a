"""All that the report says, as typed data; templates only arrange it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from slimline.core import description
from slimline.measure import pruned
from slimline.measure.pruned import LayerChange, Round
from slimline.report import gates, scan
from slimline.report.gates import Gate, GatesParams
from slimline.report.results import Results
from slimline.report.scan import Scan
from slimline.report.variant import VARIANTS, Variant

_CHAIN_LENGTH = 4

_FASTER = 1.05
"""Less than this is no gain in time that anybody would notice."""


@dataclass(frozen=True)
class Step:
    """What one stage of the chain changed against the stage before it."""

    name: str
    before: Variant
    after: Variant

    @property
    def top1(self) -> float:
        """Percentage points gained; negative is lost."""
        return self.after.top1 - self.before.top1

    @property
    def size_ratio(self) -> float:
        """Times smaller."""
        return self.before.size_kib / self.after.size_kib

    @property
    def macs_share(self) -> float:
        """Percent of the multiply-accumulates that are left."""
        return 100 * self.after.macs_m / self.before.macs_m

    @property
    def speedup(self) -> float:
        """Times faster."""
        return self.after.speedup / self.before.speedup


@dataclass(frozen=True)
class Report:
    """The content of all three documents."""

    variants: Sequence[Variant]
    gates: Sequence[Gate]
    descriptions: dict[str, dict[str, Any]]
    """Each variant's `model.json`."""
    scan: Scan
    """What each layer bears, if that was asked for."""

    @property
    def baseline(self) -> Variant:
        """What all else is compared with."""
        return self.variants[0]

    @property
    def product(self) -> Variant:
        """What is shipped."""
        return self.variants[_CHAIN_LENGTH - 1]

    @property
    def steps(self) -> list[Step]:
        """The way from the baseline to the product."""
        chain = self.variants[:_CHAIN_LENGTH]
        return [Step(after.name, before, after) for before, after in pairwise(chain)]

    @property
    def size_ratio(self) -> float:
        """How many times smaller the product is than the baseline."""
        return self.baseline.size_kib / self.product.size_kib

    @property
    def rounds(self) -> list[Round]:
        """What each round of pruning did."""
        return pruned.rounds(self.descriptions["prune"])

    @property
    def layers(self) -> list[LayerChange]:
        """What pruning left of each layer."""
        return pruned.layers(self.descriptions["prune"])

    @property
    def parity(self) -> dict[str, float]:
        """How fake-quant and ONNX Runtime compare, on validation."""
        parity: dict[str, float] = self.descriptions["int8_export"]["parity"]
        return parity

    @property
    def is_kept(self) -> bool:
        """Whether every gate is kept."""
        return gates.are_kept(self.gates)

    @property
    def notes(self) -> list[str]:
        """What a reader could be misled about, said plainly."""
        return [
            *self._slow_int8(),
            *self._useless_zeros(),
            *self._undone_round(),
            *self._worse_than_ptq(),
            *self._more_macs(),
        ]

    def _slow_int8(self) -> list[str]:
        floats = next(each for each in self.variants if each.name == "prune")
        return [
            f"{each.name} is slower than the float model that it came from, on this CPU: "
            f"{each.p50_ms:.3f} ms against {floats.p50_ms:.3f} ms."
            for each in self.variants
            if each.is_int8 and each.p50_ms > floats.p50_ms
        ]

    def _useless_zeros(self) -> list[str]:
        before, after = self.variants[1], self.variants[2]
        is_smaller = after.size_kib < 0.99 * before.size_kib
        is_faster = after.speedup > _FASTER * before.speedup
        spared = {"bytes": is_smaller, "time": is_faster}
        missing = [f"no {name}" for name, is_spared in spared.items() if not is_spared]
        if after.sparsity < 1 or not missing:
            return []
        return [
            f"{after.sparsity:.0f} % of the weights of prune are zero, which saves "
            f"{' and '.join(missing)}: {before.size_kib:.0f} and {after.size_kib:.0f} KiB, "
            f"{before.p50_ms:.3f} and {after.p50_ms:.3f} ms. Deflated, the file goes from "
            f"{before.size_zip_kib:.0f} to {after.size_zip_kib:.0f} KiB."
        ]

    def _undone_round(self) -> list[str]:
        return [
            f"Pruning stopped early: round {each.number} ended at {each.top1_recovered:.2f} % on "
            "validation, below what prune.max_drop allows, and was undone."
            for each in self.rounds
            if not each.is_kept
        ]

    def _worse_than_ptq(self) -> list[str]:
        ptq = next(each for each in self.variants if each.name == "int8_ptq")
        if self.product.top1_high >= ptq.top1_low:
            return []
        return [
            f"int8_export is less accurate than int8_ptq, beyond noise: {self.product.top1:.2f} % "
            f"against {ptq.top1:.2f} %."
        ]

    def _more_macs(self) -> list[str]:
        before = self.variants[_CHAIN_LENGTH - 2]
        if self.product.macs_m <= before.macs_m:
            return []
        return [
            f"{self.product.name} computes more than {before.name}, {self.product.macs_m:.2f} "
            f"against {before.macs_m:.2f} million multiply-accumulates: its first convolution "
            f"makes four columns of a grey image at once, which takes less time."
        ]


def gather(found: Results, models: Path, sensitivity: Path, settings: GatesParams) -> Report:
    """Return the report's content from the figures, the models' descriptions and the scan."""
    variants = [found.variants[name] for name in VARIANTS]
    descriptions = {name: description.read(models / name) for name in VARIANTS}
    judged = gates.judge(found, settings)
    return Report(variants, judged, descriptions, scan.read(sensitivity))
