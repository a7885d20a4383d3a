"""What the product is compared with: what ONNX Runtime's own tools make of the pruned model.

Static quantization, which chooses ranges by calibrators of its own, of the same names as ours;
dynamic quantization; float16. All take the float .onnx, as a user of ONNX Runtime would, and all
files are cleaned as ours is.
"""

import contextlib
import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime import quantization as ort_quantization
from onnxruntime.quantization import calibrate
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

FLOAT16_WEIGHTS_ALONE = "float16_weights_alone"
"""Key of `model.json`: values go beyond float16, so that weights alone are stored in it."""

_LINEAR, _CONVOLUTIONS = ("MatMul", "Gemm"), ("Conv", "ConvTranspose")
_CALIBRATION_BATCH, _BATCHES_LOOKED_AT = 50, 4
_FLOAT = onnx.TensorProto.FLOAT
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
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
    frame, size = description.frame(source), _batch_size(len(calibration), calibrator)

    def quantize(prepared: Path, raw: Path) -> None:
        ort_quantization.quantize_static(
            prepared,
            raw,
            _Reader(calibration, frame, size=size),
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


def _batch_size(count: int, calibrator: Calibrator) -> int:
    """Return how many images are fed at once: what counts values takes batches of one size."""
    if calibrator == "minmax":
        return _CALIBRATION_BATCH
    return next(each for each in range(_CALIBRATION_BATCH, 0, -1) if count % each == 0)


def save_dynamic(target: Path, source: Path, validation: Split, *, num_threads: int) -> None:
    """Write a folder with `quantize_dynamic` of another folder's model.

    `model.json` says how many of the weights that is about, since nothing is gained by the others.
    """
    path = description.onnx_path(source)
    told = {LINEAR_SHARE: linear_share(path)}
    _save(target, source, validation, quantize_dynamic(path), told, num_threads=num_threads)


def save_float16(target: Path, source: Path, validation: Split, *, num_threads: int) -> None:
    """Write a folder with another folder's model in float16.

    Where weights are beyond float16's largest number, or values are, for some of the first images,
    weights alone are stored so, those that fit, and `model.json` says it. ONNX Runtime itself
    computes in float32 on most CPUs, where nothing would be seen of it.
    """
    path, frame = description.onnx_path(source), description.frame(source)
    is_float16 = _fit_float16(onnx.load(path).graph.initializer) and (
        _largest_value(path, validation, frame) <= _LARGEST_FLOAT16
    )
    if is_float16:
        loss = _save(target, source, validation, to_float16(path), {}, num_threads=num_threads)
        is_float16 = math.isfinite(loss)
    if not is_float16:
        print(
            f"{source}: values or weights go beyond 65,504, float16's largest number; weights "
            "alone are stored in float16, and computed with in float32"
        )
        told = {FLOAT16_WEIGHTS_ALONE: True}
        model = to_float16_weights(path)
        _save(target, source, validation, model, told, num_threads=num_threads)


def to_float16(path: Path) -> onnx.ModelProto:
    """Return a float .onnx with weights and values in float16; what goes in and out is float32."""
    converted = OnnxModel(
        convert_float_to_float16(
            onnx.load(path), keep_io_types=True, max_finite_val=_LARGEST_FLOAT16
        )
    )
    # Its casts stand at the end, and a value that two float32 operators read is cast twice.
    nodes = {tuple(node.output): node for node in converted.model.graph.node}
    del converted.model.graph.node[:]
    converted.model.graph.node.extend(nodes.values())
    converted.topological_sort()
    model: onnx.ModelProto = converted.model
    return model


def to_float16_weights(path: Path) -> onnx.ModelProto:
    """Return a float .onnx that stores weights in float16 and computes in float32.

    Constants of more than one axis, where none of their numbers is beyond float16's largest.
    """
    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != _FLOAT or len(tensor.dims) < 2 or not _fit_float16([tensor]):
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, f"{name}_float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=_FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _fit_float16(constants: Iterable[onnx.TensorProto]) -> bool:
    """Whether no finite number of them is beyond float16's largest."""
    values = (numpy_helper.to_array(each) for each in constants if each.data_type == _FLOAT)
    return all(
        np.abs(each[np.isfinite(each)]).max(initial=0) <= _LARGEST_FLOAT16 for each in values
    )


def _largest_value(path: Path, split: Split, frame: Preprocessing) -> float:
    """Return the largest size of what a model's operators answer, for the first images."""
    with tempfile.TemporaryDirectory() as scratch:
        calibrator = calibrate.create_calibrator(
            shutil.copy(path, scratch),  # beside which it writes
            augmented_model_path=str(Path(scratch) / "augmented.onnx"),
            calibrate_method=ort_quantization.CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(split, frame, batches=_BATCHES_LOOKED_AT))
        ranges = calibrator.compute_data().values()
    return max(float(np.abs(each.range_value).max()) for each in ranges)


def _save(
    target: Path,
    source: Path,
    validation: Split,
    model: onnx.ModelProto,
    told: dict[str, Any],
    *,
    num_threads: int,
) -> float:
    """Write a folder with what was made of another folder's model; return its validation loss."""
    content = describe(source, settings=None, data="")
    with files.replacing(target) as folder:
        path = folder / description.ONNX
        to_onnx.save(model, path)
        frame = description.frame(source)
        found = score(path, frame, validation, num_threads=num_threads)
        content[description.VALIDATION_TOP1] = found.top1
        description.write(folder, content | told | versions(path))
    return found.loss


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
    """Feeds a split, or its first batches, to ONNX Runtime's calibrator."""

    def __init__(
        self,
        split: Split,
        preprocessing: Preprocessing,
        batches: int | None = None,
        size: int = _CALIBRATION_BATCH,
    ) -> None:
        starts = range(0, len(split), size)[:batches]
        self._batches: Iterator[NDArray[np.float32]] = (
            preprocessing.normalise(split.images[start : start + size]) for start in starts
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
