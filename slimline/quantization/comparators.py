"""What the product is compared with: ONNX Runtime's own static and dynamic quantization.

Both take the float .onnx of the pruned model, as a user of ONNX Runtime would, and both files are
cleaned as ours is.
"""

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import quantization as ort_quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from slimline.core import description, export, serialize
from slimline.core.data import Split
from slimline.core.params import Params
from slimline.core.preprocessing import Preprocessing
from slimline.quantization.settings import Int8PtqParams

_CALIBRATION_BATCH = 50
_METHODS = {
    "minmax": ort_quantization.CalibrationMethod.MinMax,
    "entropy": ort_quantization.CalibrationMethod.Entropy,
    "percentile": ort_quantization.CalibrationMethod.Percentile,
}
_ACTIVATION_TYPES = {
    "uint8": ort_quantization.QuantType.QUInt8,
    "int8": ort_quantization.QuantType.QInt8,
}


def save_static(target: Path, source: Path, calibration: Split, settings: Int8PtqParams) -> None:
    """Write a folder whose .onnx has int8 weights and activations, ranges from calibration."""
    frame = Preprocessing.from_dict(description.read(source)["preprocessing"])

    def quantize(prepared: Path, raw: Path) -> None:
        ort_quantization.quantize_static(
            prepared,
            raw,
            _Reader(calibration, frame),
            quant_format=ort_quantization.QuantFormat.QDQ,
            per_channel=settings.weights == "per_channel",
            reduce_range=settings.weight_bits == 7,
            activation_type=_ACTIVATION_TYPES[settings.activation_type],
            weight_type=ort_quantization.QuantType.QInt8,
            calibrate_method=_METHODS[settings.calibrator],
        )

    _save(target, source, quantize, settings=settings, data=calibration.digest)


def save_dynamic(target: Path, source: Path) -> None:
    """Write a folder whose .onnx has int8 weights in linear layers, quantizing inputs on the fly.

    Convolutions stay float: ONNX Runtime has no fast kernel for them with ranges made on the fly.
    """

    def quantize(prepared: Path, raw: Path) -> None:
        ort_quantization.quantize_dynamic(
            prepared,
            raw,
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=ort_quantization.QuantType.QInt8,
        )

    _save(target, source, quantize, settings=None, data="")


class _Reader(ort_quantization.CalibrationDataReader):  # type: ignore[misc]
    """Feeds the calibration split to ONNX Runtime's calibrator."""

    def __init__(self, split: Split, preprocessing: Preprocessing) -> None:
        self._batches: Iterator[NDArray[np.float32]] = (
            preprocessing.normalise(split.images[start : start + _CALIBRATION_BATCH])
            for start in range(0, len(split), _CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {export.INPUT: batch}


def _save(
    target: Path,
    source: Path,
    quantize: Callable[[Path, Path], None],
    *,
    settings: Params | None,
    data: str,
) -> None:
    """Run ONNX Runtime's recommended preparation and a quantizer, and write the model folder."""
    content = description.read(source) | {
        "settings": settings.model_dump(mode="json") if settings else {},
        "sha256": description.origins(data=data, settings=settings, parent=source),
    }
    content.pop("rounds", None)
    with serialize.replacing(target) as folder, tempfile.TemporaryDirectory() as scratch:
        prepared, raw = Path(scratch) / "prepared.onnx", Path(scratch) / "raw.onnx"
        with _quiet_root_logger():
            quant_pre_process(description.onnx_path(source), prepared)
            quantize(prepared, raw)
        export.save(onnx.load(raw), folder / description.ONNX)
        serialize.write_json(folder / description.DESCRIPTION, content)


@contextlib.contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Silence the advice to prepare the file, which is given even for files that were prepared."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    yield
    root.setLevel(level)
