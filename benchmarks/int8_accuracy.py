"""What does int8 cost in accuracy, by ours and by the peers, on networks that have learnt?

    python -m benchmarks.backbones train --target /somewhere
    python -m benchmarks.int8_accuracy --source /somewhere

quantizes the float networks that the first command has trained, and prints a line per network and
way: top-1 in ONNX Runtime, what was lost against float, and by how much our trained int8 is ahead,
both with 95 % intervals of the paired test on the same images. All ways see the same calibration
images.

    qat          `qat_finetune` and `int8_export` with the settings of params.yaml
    ours         our quantizer without training: ranges of all calibration images
    auto         the same, with the calibrator that is best on validation
    onnxruntime  its own static quantization, after its recommended preparation
    nncf         NNCF's quantization of the float .onnx; `pip install nncf` to see it
    torchao      its quantizer for x86, exported by torch

Weights have 8 bits, one scale per output channel, except for qat, where params.yaml decides.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from benchmarks import int8 as speed
from slimline import params
from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.measure import paired_answers
from slimline.quantization import mixed_precision, ptq, qat
from slimline.quantization.settings import (
    ALL_INT8,
    Int8ExportParams,
    Int8PtqParams,
    QatFinetuneParams,
)
from slimline.targets.onnxruntime import exporter
from slimline.targets.runtimes import Deployable
from slimline.training import determinism

PREPARED = Path("data/prepared")
BACKBONES = (
    "resnet18",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "efficientnet_lite0-imagenet",
)
QAT = "qat"


@dataclass(frozen=True)
class Trained:
    """A float network's folder, and what its quantization may look at."""

    folder: Path
    calibration: Split
    validation: Split
    qat: QatFinetuneParams


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of the trained networks")
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, help="names of its folders")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--learning-rate", type=float, help="of qat, instead of params.yaml's")
    parser.add_argument(
        "--split",
        choices=["validation", "test"],
        default="test",
        help="images of the score; test must not choose settings",
    )
    given = parser.parse_args()
    determinism.start(params.load_run())
    scored = split_files.load(PREPARED / given.split)
    print("| backbone | way | top-1, % | against float, points | qat against it, points |")
    print("|---|---|---:|---:|---:|")
    for backbone in given.backbones:
        trained = Trained(
            given.source / backbone / "float",
            split_files.load(PREPARED / "calibration"),
            split_files.load(PREPARED / "validation"),
            qat_settings(given.learning_rate),
        )
        for line in _lines(trained, backbone, given.ways, scored):
            print(line, flush=True)


def qat_settings(learning_rate: float | None) -> QatFinetuneParams:
    """Return section `qat_finetune`, with another learning rate if one is given."""
    settings = params.load("qat_finetune", QatFinetuneParams)
    if learning_rate is None:
        return settings
    recipe = settings.recipe.model_copy(update={"learning_rate": learning_rate})
    return settings.model_copy(update={"recipe": recipe})


def quantize_qat(trained: Trained, path: Path) -> None:
    """Train with fake-quant as `qat_finetune` does, and write the file as `int8_export` does."""
    model, _ = qat.finetune(
        model_folder.load(trained.folder),
        split_files.load(PREPARED / "train"),
        trained.calibration,
        trained.validation,
        trained.qat,
        seed=params.load_run().seed,
    )
    assert isinstance(model.network, fx.GraphModule)
    pad_channels = params.load("int8_export", Int8ExportParams).pad_channels
    exporter.write(qat.convert(model.network), model.example, path, pad_channels=pad_channels)


def quantize_auto(trained: Trained, path: Path) -> None:
    """Write ours, untrained, with the calibrator that validation chooses."""
    settings = Int8PtqParams(
        quantizer="slimline",
        activation_type="uint8",
        weight_bits=8,
        weights="per_channel",
        equalise=False,
        mixed=ALL_INT8,
        calibrator="auto",
    )
    ptq.save(
        path.parent / "auto",
        trained.folder,
        trained.calibration,
        trained.validation,
        settings,
        mixed_precision.NO_TABLES,
        num_threads=params.load_run().num_threads,
    )
    (path.parent / "auto" / description.ONNX).rename(path)


def _by_images(
    quantize: Callable[[speed.Subject, Path], None],
) -> Callable[[Trained, Path], None]:
    """Return a way of benchmarks.int8 as one that starts from a folder."""

    def run(trained: Trained, path: Path) -> None:
        model = model_folder.load(trained.folder)
        images = torch.from_numpy(model.preprocessing.normalise(trained.calibration.images[:]))
        onnx_path = trained.folder / description.ONNX
        quantize(speed.Subject(model.network.eval(), images, onnx_path), path)

    return run


WAYS: dict[str, Callable[[Trained, Path], None]] = {
    QAT: quantize_qat,
    "ours": _by_images(speed.quantize_ours),
    "auto": quantize_auto,
    "onnxruntime": _by_images(speed.quantize_onnxruntime),
    "nncf": _by_images(speed.quantize_nncf),
    "torchao": _by_images(speed.quantize_torchao),
}


def _lines(trained: Trained, backbone: str, ways: list[str], scored: Split) -> list[str]:
    """Return the lines of one network; that of a peer that is not installed says so."""
    frame = model_folder.load(trained.folder).preprocessing

    def answers(path: Path) -> NDArray[np.int64]:
        num_threads = params.load_run().num_threads
        logits = Deployable(path).predict(scored.images, frame, num_threads=num_threads)
        return logits.argmax(1)

    found = {"float": answers(trained.folder / description.ONNX)}
    lines = []
    for way in ways:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{way}.onnx"
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # NNCF shows its progress there
                    WAYS[way](trained, path)
            except ModuleNotFoundError as error:
                lines.append(f"| {backbone} | {way} | no {error.name} | | |")
            else:
                found[way] = answers(path)
    for way, own in found.items():
        cells = [backbone, way, f"{100 * float((own == scored.labels).mean()):.2f}"]
        cells.append("" if way == "float" else _difference(found["float"], own, scored))
        is_other = way not in {"float", QAT} and QAT in found
        cells.append(_difference(own, found[QAT], scored) if is_other else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _difference(before: NDArray[np.int64], after: NDArray[np.int64], scored: Split) -> str:
    compared = paired_answers.compare(before, after, scored.labels)
    low, high = compared.gain_bounds()
    return f"{compared.gain:+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    main()
