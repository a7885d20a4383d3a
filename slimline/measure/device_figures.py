"""The metric file of stage `device_evaluate`: the product as another runtime runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline import files
from slimline.measure.accuracy import Accuracy
from slimline.targets.model_file import ModelFile

FOLDER = Path("evaluate", "devices")
"""Where the figures of each target lie, below metrics."""


@dataclass(frozen=True)
class Device:
    """What the report says of a target."""

    target: str
    top1: float
    """Percent of the test images answered right."""
    top1_low: float
    top1_high: float
    onnx_top1: float
    """The same of the .onnx in ONNX Runtime."""
    agreement: float
    """Percent of the test images with the same answer as the .onnx."""
    parity: float
    """Percent of the validation images with the same answer as fake-quant."""
    logit_difference: float
    """Of any logit, from fake-quant, on validation, percent of the logits' spread."""
    size_kib: float
    size_zip_kib: float
    int8_macs: float
    """Percent of the multiply-accumulates that the runtime's fast kernels compute in int8."""
    not_delegated: Sequence[str]
    """Operators that are left to slow kernels, as `fc: addmm`."""
    float_layers: Sequence[str] = ()
    """Layers that run in float; older figures do not tell."""

    @property
    def top1_difference(self) -> float:
        """Percentage points above the .onnx, on the test split."""
        return self.top1 - self.onnx_top1


def to_dict(
    score: Accuracy, onnx_top1: float, file: ModelFile, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `metrics/evaluate/devices/<target>.json`, each figure rounded here.

    `score` has the .onnx's answers as its reference, of which `onnx_top1` percent are right;
    `about` is the file's `model.json`.
    """
    low, high = score.top1_interval
    parity = about["parity"]
    largest, spread = parity["largest_difference"], parity["spread"]
    return {
        "top1": round(score.top1, 3),
        "top1_low": round(low, 3),
        "top1_high": round(high, 3),
        "onnx_top1": round(onnx_top1, 3),
        "agreement": round(score.agreement, 3),
        "parity": round(parity["agreement"], 3),
        "logit_difference": round(100 * largest / spread if largest else 0.0, 3),
        "size_kib": round(file.size_kib, 1),
        "size_zip_kib": round(file.size_zip_kib, 1),
        "int8_macs": round(file.int8_share, 2),
        "not_delegated": [
            f"{each['layer']}: {each['operator']}" for each in about["not_delegated"]
        ],
        "float_layers": about["float_layers"],
    }


def read(metrics: Path, targets: Sequence[str]) -> list[Device]:
    """Return the figures of the targets, in their order.

    Raises:
        FileNotFoundError: those of one are missing.
    """
    return [
        Device(target=name, **files.read_json(metrics / FOLDER / f"{name}.json"))
        for name in targets
    ]
