"""Which backbone? Each takes the place of the default one, with all other settings as they are.

    python -m benchmarks.backbones train --target /somewhere
    python -m benchmarks.backbones measure --target /somewhere

`train` swaps, trains and quantizes each candidate as the default run does, without pruning, into a
folder of its own; what is there already is left as it is, so that an interrupted run goes on.
`--seed` takes another seed than params.yaml, for another target, to see what chance does. It needs
data/prepared and models/baseline_train (`dvc repro baseline_train`). `measure` prints the table of
docs/experiments.md: accuracy on validation (the test split chooses nothing), files, and latencies
of all candidates in turns in one process.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import throughput
from slimline import params
from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.measure import accuracy, latency
from slimline.networks import classifier
from slimline.params import RunParams
from slimline.quantization import int8_export, qat
from slimline.quantization.settings import Int8ExportParams, QatFinetuneParams
from slimline.targets.onnxruntime import onnx_file
from slimline.targets.runtimes import Deployable
from slimline.training import backbone_swap, determinism
from slimline.training.backbone_swap import BackboneSwapParams

PREPARED, BASELINE = Path("data/prepared"), Path("models/baseline_train")
PRETRAINED = Path("data/raw/pretrained")
DONE = Path("int8", description.DESCRIPTION)


@dataclass(frozen=True)
class Candidate:
    """What differs from section `backbone_swap`."""

    backbone: str
    pretrained: str = "none"
    activation: str = "keep"

    @property
    def name(self) -> str:
        """What the table and the folders call it."""
        changed = [each for each in (self.pretrained, self.activation) if each not in _PLAIN]
        return "-".join([self.backbone, *changed])


_PLAIN = {"none", "keep"}
NO_BOUNDS = {"max_top1_difference": 100}
_HEADER = [
    "| backbone | float top-1 | int8 top-1 | agree, % | float KiB | int8 KiB | MACs, M | float ms "
    "| int8 ms | int8 faster | trained, images/s |",
    "|---|" + 10 * "---:|",
]

CANDIDATES = [
    Candidate("shufflenet_v2_x1_0"),
    Candidate("shufflenet_v2_x0_5"),
    Candidate("mobilenet_v4_conv_small"),
    Candidate("mobilenet_v3_small"),
    Candidate("efficientnet_lite0", pretrained="imagenet"),
    Candidate("efficientnet_lite0"),
    Candidate("mobilenet_v3_small", activation="relu"),
    Candidate("mobilenet_v2"),
    Candidate("mobilenet_v3_large"),
    Candidate("resnet18"),
    Candidate("resnet10"),
    Candidate("resnet8_w48"),
]


def main() -> None:
    """Train or measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "measure"])
    parser.add_argument("--target", type=Path, required=True, help="folder for the models")
    parser.add_argument("--seed", type=int, help="instead of that of params.yaml")
    parser.add_argument("--only", nargs="+", help="names of candidates to train")
    arguments = parser.parse_args()
    run = params.load_run()
    if arguments.seed is not None:
        run = run.model_copy(update={"seed": arguments.seed})
    if arguments.what == "measure":
        measure(arguments.target)
        return
    for candidate in CANDIDATES:
        is_asked = not arguments.only or candidate.name in arguments.only
        if is_asked and not (arguments.target / candidate.name / DONE).is_file():
            train(candidate, arguments.target / candidate.name, run)


def train(candidate: Candidate, target: Path, run: RunParams) -> None:
    """Write the folders `float` and `int8` of a candidate."""
    determinism.start(run)
    swap = params.load("backbone_swap", BackboneSwapParams).model_copy(update=vars(candidate))
    fine = params.load("qat_finetune", QatFinetuneParams)
    images, calibration, validation = (
        split_files.load(PREPARED / name) for name in ("train", "calibration", "validation")
    )
    model, _, _ = backbone_swap.swap(
        model_folder.load(BASELINE),
        images,
        validation,
        swap,
        weights_folder=PRETRAINED,
        seed=run.seed,
    )
    model_folder.save(target / "float", model, data=images, settings=swap)
    prepared, _ = qat.finetune(model, images, calibration, validation, fine, seed=run.seed)
    any_parity = params.load("int8_export", Int8ExportParams).model_copy(update=NO_BOUNDS)
    int8_export.save(
        target / "int8",
        prepared,
        validation,
        any_parity,
        parent=target / "float",
        num_threads=run.num_threads,
    )


def measure(target: Path) -> None:
    """Print a line of Markdown per candidate that was trained."""
    done = [each for each in CANDIDATES if (target / each.name / DONE).is_file()]
    paths = {
        f"{each.name}/{form}": target / each.name / form / description.ONNX
        for each in done
        for form in ("float", "int8")
    }
    settings = params.load("benchmark", latency.BenchmarkParams)
    validation = split_files.load(PREPARED / "validation")
    frame = Preprocessing.from_dict(description.read(BASELINE)["preprocessing"])
    times = latency.measure(
        {name: Deployable(path) for name, path in paths.items()},
        next(iter(paths)),
        frame.normalise(validation.images[: settings.batch_size]),
        settings,
        num_threads=params.load_run().num_threads,
    )
    lines = [_line(each, paths, times, validation) for each in done]
    print("\n".join([*_HEADER, *lines]))


def _line(
    candidate: Candidate,
    paths: Mapping[str, Path],
    times: Mapping[str, latency.Latency],
    validation: split_files.Split,
) -> str:
    swap, int8_path = (paths[f"{candidate.name}/{form}"] for form in ("float", "int8"))
    floats, ints = (times[f"{candidate.name}/{form}"].p50_ms for form in ("float", "int8"))
    cells = [
        candidate.name,
        f"{_top1(swap, validation):.2f}",
        f"{_top1(int8_path, validation):.2f}",
        f"{description.read(int8_path.parent)['parity']['agreement']:.2f}",
        f"{onnx_file.inspect(swap).size_kib:,.0f}",
        f"{onnx_file.inspect(int8_path).size_kib:,.0f}",
        f"{onnx_file.inspect(swap).macs_m:.1f}",
        f"{floats:.3f}",
        f"{ints:.3f}",
        f"{floats / ints:.2f}",
        f"{_images_per_second(candidate):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _images_per_second(candidate: Candidate) -> float:
    settings = params.load("backbone_swap", BackboneSwapParams)
    images = split_files.load(PREPARED / "train")
    determinism.start(params.load_run())
    model = classifier.build(settings.model_copy(update=vars(candidate)), images, PRETRAINED)
    return throughput.images_per_second(model, images, settings.unfrozen)


def _top1(path: Path, validation: split_files.Split) -> float:
    frame = Preprocessing.from_dict(description.read(path.parent)["preprocessing"])
    logits = Deployable(path).predict(validation.images, frame, num_threads=2)
    return accuracy.score(logits, validation.labels, validation.labels).top1


if __name__ == "__main__":
    main()
