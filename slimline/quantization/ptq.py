"""Static quantization without training: by ONNX Runtime, or by our own quantizer.

Both start from the pruned model and the calibration split, and write the same kind of folder.
"""

import shutil
import tempfile
from pathlib import Path

from slimline.core import artifacts, description, export, serialize
from slimline.core.data import Split
from slimline.core.preprocessing import Preprocessing
from slimline.measure import session
from slimline.quantization import comparators, int8, qat
from slimline.quantization.settings import Calibrator, Int8PtqParams


def save(
    target: Path,
    source: Path,
    calibration: Split,
    validation: Split,
    settings: Int8PtqParams,
    *,
    num_threads: int,
) -> dict[Calibrator, float]:
    """Write the folder of an int8 model; return the accuracy that each calibrator tried reached.

    Accuracy is percent on validation. Where one calibrator is asked for, none is measured.

    Raises:
        ArtifactError: `source` is no folder of a float model.
    """
    content = comparators.describe(source, settings, data=calibration.digest)
    with serialize.replacing(target) as folder, tempfile.TemporaryDirectory() as scratch:
        paths = {name: Path(scratch) / f"{name}.onnx" for name in settings.calibrators}
        for name, path in paths.items():
            _write(path, source, calibration, settings, name)
        tried: dict[Calibrator, float] = {}
        if settings.calibrator == "auto":
            tried = {
                name: _top1(path, source, validation, num_threads) for name, path in paths.items()
            }
            content["calibrators"] = tried
        chosen = max(tried, key=lambda name: tried[name]) if tried else settings.calibrators[0]
        shutil.copyfile(paths[chosen], folder / description.ONNX)
        content |= comparators.versions(paths[chosen])
        serialize.write_json(folder / description.DESCRIPTION, content)
    return tried


def _write(
    path: Path, source: Path, calibration: Split, settings: Int8PtqParams, calibrator: Calibrator
) -> None:
    if settings.quantizer == "onnxruntime":
        export.save(comparators.quantize_static(source, calibration, settings, calibrator), path)
        return
    model = artifacts.load(source)
    prepared = qat.prepare_as(settings, model)
    qat.calibrate(prepared, calibration, model, calibrator)
    int8.write(qat.convert(prepared), model.example, path)


def _top1(path: Path, source: Path, validation: Split, num_threads: int) -> float:
    frame = Preprocessing.from_dict(description.read(source)["preprocessing"])
    runtime = session.load(path, num_threads=num_threads)
    answers = session.predict(runtime, validation.images, frame).argmax(1)
    return 100 * float((answers == validation.labels).mean())
