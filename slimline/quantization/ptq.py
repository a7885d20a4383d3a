"""Static quantization without training: by ONNX Runtime, or by our own quantizer.

Both start from the pruned model and the calibration split, and write the same kind of folder.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from slimline import files
from slimline.artifacts import description, model_folder
from slimline.data.split_files import Split
from slimline.errors import ParamsError
from slimline.networks.classifier import Classifier
from slimline.quantization import (
    calibration,
    mixed_precision,
    mixed_record,
    onnxruntime_quantizers,
    qat,
)
from slimline.quantization.calibrators import Calibrator
from slimline.quantization.settings import Int8PtqParams
from slimline.targets.onnxruntime import exporter, onnx_file, to_onnx
from slimline.targets.onnxruntime.passes import lone_float_layers, order
from slimline.training import loader
from slimline.training.scores import Score


def save(
    target: Path,
    source: Path,
    calibration_images: Split,
    validation: Split,
    settings: Int8PtqParams,
    tables: mixed_precision.MixedTables,
    *,
    num_threads: int,
) -> dict[Calibrator, Score]:
    """Write the folder of an int8 model; return how each calibrator tried does on validation.

    Of several the best by `tables.by` is taken.

    Raises:
        ArtifactError: `source` is no folder of a float model.
        ParamsError: which layers stay float cannot be said, as in `mixed_precision.choose`.
    """
    model = model_folder.load(source)
    choices = mixed_precision.choose(model, settings.mixed, tables, section="int8_ptq")
    content = onnxruntime_quantizers.describe(source, settings, data=calibration_images.digest)
    content["mixed"] = [each.to_dict() for each in choices]
    floats = mixed_record.float_layers(choices)
    if settings.quantizer == "onnxruntime":  # which says nothing of them
        batches = loader.fixed_batches(calibration_images, model.preprocessing)
        for told in calibration.of_images(images for images, _ in batches):
            print(told)
    with files.replacing(target) as folder, tempfile.TemporaryDirectory() as scratch:
        paths = {name: Path(scratch) / f"{name}.onnx" for name in settings.calibrators}
        for name, path in paths.items():
            _write(path, source, model, calibration_images, settings, name, float_layers=floats)
        frame = description.frame(source)
        tried = {
            name: onnxruntime_quantizers.score(path, frame, validation, num_threads=num_threads)
            for name, path in paths.items()
        }
        if settings.calibrator == "auto":
            content["calibrators"] = {name: asdict(each) for name, each in tried.items()}
        chosen = max(tried, key=lambda name: tried[name].rank(tables.by))
        content[description.VALIDATION_TOP1] = tried[chosen].top1
        shutil.copyfile(paths[chosen], folder / description.ONNX)
        content |= onnxruntime_quantizers.versions(paths[chosen])
        description.write(folder, content)
    return tried


def _write(
    path: Path,
    source: Path,
    model: Classifier,
    calibration_images: Split,
    settings: Int8PtqParams,
    calibrator: Calibrator,
    *,
    float_layers: Sequence[str],
) -> None:
    if settings.quantizer == "onnxruntime":
        nodes = _nodes(description.onnx_path(source), model, float_layers)
        quantized = onnxruntime_quantizers.quantize_static(
            source, calibration_images, settings, calibrator, float_nodes=nodes
        )
        to_onnx.save(order.apply(quantized, lone_float_layers.keep_float), path)
        return
    prepared = qat.prepare_as(settings, model, float_layers)
    qat.calibrate(prepared, calibration_images, model, calibrator)
    exporter.write(qat.convert(prepared), model.example, path)


def _nodes(path: Path, model: Classifier, float_layers: Sequence[str]) -> list[str]:
    """Return the nodes of layers in a float .onnx, where they stand in the order of the network."""
    if not float_layers:
        return []
    entries, weights = onnx_file.weight_entries(path), mixed_precision.layers(model)
    if list(entries.values()) != list(weights.values()):
        raise ParamsError(
            [
                "params.yaml: quantization.mixed, for int8_ptq: a layer of this network is called "
                "more than once, or has no name in its .onnx, so that none can be kept in float "
                "by ONNX Runtime's own quantizer; set int8_ptq.quantizer to slimline"
            ]
        )
    nodes = dict(zip(weights, entries, strict=True))
    return [nodes[name] for name in float_layers]
