"""What the product is compared with: what ONNX Runtime's own tools make of the pruned model.

Static quantization, which chooses ranges by calibrators of its own, of the same names as ours;
dynamic quantization; float16. All take the float .onnx, as a user of ONNX Runtime would, and all
files are cleaned as ours is.
"""

import contextlib
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import quantization as ort_quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from slimline import files
from slimline.artifacts import description
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import ArtifactError
from slimline.params import Params
from slimline.quantization.calibrators import Calibrator
from slimline.quantization.settings import Int8PtqParams
from slimline.targets.onnxruntime import releases, shared_weights, to_onnx
from slimline.targets.runtimes import Deployable
from slimline.targets.schemes import ActivationType
from slimline.training import loop
from slimline.training.scores import Score

LINEAR_SHARE = "linear_share"
"""Key of `model.json`: percent of the weights that dynamic quantization is about."""

_LINEAR, _CONVOLUTIONS = ("MatMul", "Gemm"), ("Conv", "ConvTranspose")
_CALIBRATION_BATCH = 50
_METHODS: dict[Calibrator, Any] = {
    "minmax": ort_quantization.CalibrationMethod.MinMax,
    "entropy": ort_quantization.CalibrationMethod.Entropy,
    "percentile": ort_quantization.CalibrationMethod.Percentile,
}
_ACTIVATION_TYPES: dict[ActivationType, Any] = {
    "uint8": ort_quantization.QuantType.QUInt8,
    "int8": ort_quantization.QuantType.QInt8,
    "int8_symmetric": ort_quantization.QuantType.QInt8,
}


def quantize_static(
    source: Path,
    calibration: Split,
    settings: Int8PtqParams,
    calibrator: Calibrator,
    *,
    float_nodes: Sequence[str] = (),
) -> onnx.ModelProto:
    """Return a folder's model with int8 weights and activations, ranges from calibration.

    `float_nodes` names nodes of the folder's .onnx that stay as they are.

    Raises:
        ArtifactError: ONNX Runtime's calibrator cannot handle the model, as where an activation is
            nearly the same everywhere.
    """
    frame = description.frame(source)

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
            calibrate_method=_METHODS[calibrator],
            nodes_to_exclude=list(float_nodes),
            extra_options={"ActivationSymmetric": settings.activation_type == "int8_symmetric"},
        )

    try:
        return _quantized(description.onnx_path(source), quantize)
    except ValueError as error:
        raise ArtifactError(
            f"{source}: ONNX Runtime's calibrator {calibrator} fails on this model ({error}); set "
            "int8_ptq.calibrator to minmax, or int8_ptq.quantizer to slimline"
        ) from error


def save_dynamic(target: Path, source: Path, validation: Split, *, num_threads: int) -> None:
    """Write a folder with `quantize_dynamic` of another folder's model.

    `model.json` says how many of the weights that is about, since nothing is gained by the others.
    """
    path = description.onnx_path(source)
    told = {LINEAR_SHARE: linear_share(path)}
    _save(target, source, validation, quantize_dynamic(path), told, num_threads=num_threads)


def save_float16(target: Path, source: Path, validation: Split, *, num_threads: int) -> None:
    """Write a folder with another folder's model in float16."""
    model = to_float16(description.onnx_path(source))
    _save(target, source, validation, model, {}, num_threads=num_threads)


def to_float16(path: Path) -> onnx.ModelProto:
    """Return a float .onnx with weights and values in float16; what goes in and out is float32."""
    converted = OnnxModel(convert_float_to_float16(onnx.load(path), keep_io_types=True))
    converted.topological_sort()  # its casts stand at the end
    model: onnx.ModelProto = converted.model
    return model


def _save(
    target: Path,
    source: Path,
    validation: Split,
    model: onnx.ModelProto,
    told: dict[str, Any],
    *,
    num_threads: int,
) -> None:
    """Write a folder with what was made of another folder's model."""
    content = describe(source, settings=None, data="")
    with files.replacing(target) as folder:
        path = folder / description.ONNX
        to_onnx.save(model, path)
        frame = description.frame(source)
        found = score(path, frame, validation, num_threads=num_threads)
        content[description.VALIDATION_TOP1] = found.top1
        description.write(folder, content | told | versions(path))


def quantize_dynamic(path: Path) -> onnx.ModelProto:
    """Return a float .onnx with int8 weights in linear layers, whose inputs are quantized as met.

    Convolutions stay float: ONNX Runtime has no fast kernel for them with ranges made on the fly.
    """

    def quantize(prepared: Path, raw: Path) -> None:
        ort_quantization.quantize_dynamic(
            prepared,
            raw,
            op_types_to_quantize=list(_LINEAR),
            weight_type=ort_quantization.QuantType.QInt8,
        )

    return _quantized(path, quantize)


def linear_share(path: Path) -> float:
    """Return the percent of a float .onnx file's weights that linear layers hold.

    Weights are the constants that convolutions and linear layers multiply by, biases left out.
    """
    graph = onnx.load(path).graph
    sizes: dict[str, int] = {
        each.name: math.prod(each.dims) for each in graph.initializer if len(each.dims) > 1
    }
    held = {
        kind: {name for node in graph.node if node.op_type in kind for name in node.input}
        for kind in (_LINEAR, _CONVOLUTIONS)
    }
    linear, others = (
        sum(size for name, size in sizes.items() if name in held[kind])
        for kind in (_LINEAR, _CONVOLUTIONS)
    )
    return 100 * linear / (linear + others)


def score(path: Path, frame: Preprocessing, split: Split, *, num_threads: int) -> Score:
    """Return how a file does on a split."""
    logits = Deployable(path).predict(split.images, frame, num_threads=num_threads)
    return loop.score_of(torch.from_numpy(logits), torch.from_numpy(split.labels))


def versions(path: Path) -> dict[str, Any]:
    """Return what `model.json` says of the versions of a file."""
    model = onnx.load(path)
    opset = next(each.version for each in model.opset_import if not each.domain)
    return releases.describe(opset, model.ir_version)


def describe(source: Path, settings: Params | None, *, data: str) -> dict[str, Any]:
    """Return the content of `model.json` of what is made of a float model's folder."""
    content = description.read(source) | {
        "settings": settings.model_dump(mode="json") if settings else {},
        "sha256": description.origins(data=data, settings=settings, parent=source),
    }
    content.pop("rounds", None)
    content.pop(description.VALIDATION_TOP1, None)
    return content


class _Reader(ort_quantization.CalibrationDataReader):  # type: ignore[misc]
    """Feeds the calibration split to ONNX Runtime's calibrator."""

    def __init__(self, split: Split, preprocessing: Preprocessing) -> None:
        self._batches: Iterator[NDArray[np.float32]] = (
            preprocessing.normalise(split.images[start : start + _CALIBRATION_BATCH])
            for start in range(0, len(split), _CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {to_onnx.INPUT: batch}


def _quantized(path: Path, quantize: Callable[[Path, Path], None]) -> onnx.ModelProto:
    """Run ONNX Runtime's recommended preparation and a quantizer on a float file."""
    with tempfile.TemporaryDirectory() as scratch, _quiet_root_logger():
        prepared, raw = Path(scratch) / "prepared.onnx", Path(scratch) / "raw.onnx"
        _prepare(path, prepared)
        shared_weights.separate(prepared)
        quantize(prepared, raw)
        return onnx.load(raw)


def _prepare(path: Path, prepared: Path) -> None:
    """Run the preparation; its symbolic shape inference does not know shapes of every network."""
    try:
        quant_pre_process(path, prepared)
    except Exception as error:  # it raises no class of its own
        if "Incomplete symbolic shape inference" not in str(error):
            raise
        print("ONNX Runtime's preparation infers no symbolic shapes of this network: left out")
        quant_pre_process(path, prepared, skip_symbolic_shape=True)


@contextlib.contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Silence the advice to prepare the file, which is given even for files that were prepared."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    yield
    root.setLevel(level)
