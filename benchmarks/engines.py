"""Ours in ONNX Runtime beside OpenVINO's own int8: is another engine faster, at equal accuracy?

    python -m benchmarks.engines --target /somewhere --networks product shufflenet_v2_x1_0
    python -m benchmarks.engines --target /somewhere --profile product

needs a network for packages (pip), as `benchmarks.readers`, whose environments below `--target` it
shares; what is there stays. `product` is the model of the pipeline, from models/prune and
models/qat_finetune, with data/prepared; a backbone is written as in `benchmarks.int8`, with random
weights and BatchNorm of the images. OpenVINO's own int8 is NNCF's quantization of the same float
model, with the calibration images of ours and its own defaults. A line per network:

    ours, ms   median time of one image on one thread, our int8 .onnx in ONNX Runtime
    times      of each other, how many times as long it takes: the median of the blocks' ratios,
               with its 95 % interval; above 1 ours is faster. `portable` is ours with
               `int8_export.form: portable`, which suits OpenVINO better
    answers    of all in that order, images answered right, percent of the validation images of the
               product (at most 5,000); of a backbone those with the first answer of float in ONNX
               Runtime, of 200 images of blurred noise
    in int8    of each int8 in that order, layers that are computed in int8, of all: the others
               NNCF or OpenVINO leaves in float

Each engine has a process of its own, `benchmarks/one_engine.py`, which loads the model anew in
every turn and times it itself: a turn of each is a block, in an order that is drawn anew.

`--profile` prints instead the layers that take longest in each int8, by the engine's own account,
which takes time itself: what both have, by name, tells where ours is the slower one.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mode
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.executorch_families import agreement, pictures
from benchmarks.readers import (
    MODELS,
    OPENVINO,
    PRODUCT,
    hash_sources,
    python_with,
    quantized,
)
from slimline import files
from slimline.artifacts import description
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.measure import block_times, interleaved, significance
from slimline.measure.latency import WARM_UP
from slimline.networks.registry import REGISTRY
from slimline.targets.onnxruntime import exporter, profile
from slimline.targets.onnxruntime.passes import order

PREPARED = Path("data/prepared")
MOST_IMAGES, NUM_PICTURES = 5000, 200
FLOAT, INT8, PORTABLE, NNCF = "float.onnx", "int8.onnx", "portable.onnx", "nncf.xml"
FORMS: Mapping[str, order.Form] = {INT8: "fastest", PORTABLE: "portable"}
CALIBRATION, IMAGES, LABELS = "calibration.npy", "images.npy", "labels.npy"
PROFILE_ROUNDS, PROFILE_RUNS, NUM_LAYERS = 40, 10, 10
WITH_NNCF = (*OPENVINO, "nncf==3.4.0")
PROFILE_HEADER = ("| engine | layer | kernel | us | share, % |", "|---|---|---|---:|---:|")
ROOT = Path(__file__).parent.parent

Logits = NDArray[np.float32]
Layer = tuple[str, str, float]
"""Its name, its kernel and microseconds."""


@dataclass(frozen=True)
class Engine:
    """A file, and what runs it."""

    file: str
    how: str
    """What one_engine.py is told."""


OURS, OTHERS, OF_FLOAT = "ours", "NNCF in OpenVINO", "float"
ENGINES = {
    OURS: Engine(INT8, "onnxruntime"),
    "ours in OpenVINO": Engine(INT8, "openvino"),
    "portable in OpenVINO": Engine(PORTABLE, "openvino"),
    OTHERS: Engine(NNCF, "openvino"),
    OF_FLOAT: Engine(FLOAT, "onnxruntime"),
    "float in OpenVINO": Engine(FLOAT, "openvino"),
}
IN_INT8 = [name for name, each in ENGINES.items() if each.file != FLOAT]


class EngineError(Exception):
    """An engine cannot do what it was asked."""


class Worker:
    """A process that answers one request at a time."""

    def __init__(self, *command: str | Path) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def ask(self, *request: object) -> Any:
        """Return the answer to a request.

        Raises:
            EngineError: the engine cannot; it says why.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise EngineError(f"ended with exit code {self._process.wait()}")
        answer = json.loads(line)
        if isinstance(answer, dict):
            raise EngineError(answer["error"])
        return answer


@dataclass(frozen=True)
class Found:
    """What is known of a network, by engine."""

    milliseconds: Mapping[str, NDArray[np.float64]]
    """[blocks, runs]."""
    answers: Mapping[str, float]
    """Percent."""
    in_int8: Mapping[str, str]
    failed: Mapping[str, str]
    """What an engine says that has none of these."""

    def cells(self) -> Iterator[str]:
        """Yield the cells of a line."""
        ours = np.median(self.milliseconds[OURS], axis=1)
        yield f"{np.median(self.milliseconds[OURS]):.3f}"
        for name in ENGINES:
            if name in self.failed:
                yield self.failed[name]
            elif name != OURS:
                yield ratio(np.median(self.milliseconds[name], axis=1), ours)
        answers = {name: f"{each:.1f}" for name, each in self.answers.items()}
        yield " / ".join(answers.get(name, "no") for name in ENGINES)
        yield " / ".join(self.in_int8.get(name, "no") for name in IN_INT8)


def main() -> None:
    """Print the table, or profiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, required=True, help="folder for all that is made")
    parser.add_argument(
        "--networks", nargs="+", choices=[PRODUCT, *REGISTRY], default=[PRODUCT, *REGISTRY]
    )
    parser.add_argument("--profile", choices=[PRODUCT, *REGISTRY], help="layers of one network")
    parser.add_argument("--size", type=int, default=96, help="height and width of backbones")
    parser.add_argument("--blocks", type=int, default=40, help="turns of each engine")
    parser.add_argument("--runs", type=int, default=20, help="images per turn")
    given = parser.parse_args()
    target = given.target.resolve()
    if given.profile:
        print("\n".join(profiles(given.profile, made(given.profile, given.size, target), target)))
        return
    print("\n".join(header()), flush=True)
    for network in given.networks:
        folder = made(network, given.size, target)
        with ExitStack() as stack:
            workers = {name: stack.enter_context(worker(name, folder, target)) for name in ENGINES}
            found = measure(workers, folder, blocks=given.blocks, runs=given.runs)
        print(f"| {network} | {' | '.join(found.cells())} |", flush=True)


def header() -> list[str]:
    """Return the first lines of the table."""
    others = [f"times: {name}" for name in ENGINES if name != OURS]
    cells = ["network", f"{OURS}, ms", *others, "answers, %", "in int8"]
    return [f"| {' | '.join(cells)} |", f"|---|{(len(cells) - 1) * '---:|'}"]


def made(network: str, size: int, target: Path) -> Path:
    """Return the folder of a network with its files, which are written where there is none."""
    shape = "" if network == PRODUCT else f"-{size}"
    folder = target / f"engines-{network}{shape}-{hash_sources(network)}"
    if not folder.is_dir():
        with files.replacing(folder) as scratch:
            write(network, size, scratch)
            python = python_with(target / "environments" / "nncf", *WITH_NNCF)
            paths = [scratch / each for each in (FLOAT, CALIBRATION, NNCF)]
            # Where it fails, OpenVINO says that there is no such file.
            subprocess.run(
                [python, "-m", "benchmarks.one_engine", "nncf", *paths],
                cwd=ROOT,
                stdout=sys.stderr,
                check=False,
            )
    return folder


def write(network: str, size: int, folder: Path) -> None:
    """Write the float file and ours, images for NNCF, and those that all engines answer."""
    with tempfile.TemporaryDirectory() as scratch:
        subject, converted = quantized(network, size, Path(scratch))
        shutil.copyfile(subject.path, folder / FLOAT)
        for name, form in FORMS.items():
            path = folder / name
            exporter.write(converted, subject.example, path, form=form, pad_channels=True)
        if network == PRODUCT:
            content = description.read(MODELS / "qat_finetune")
            frame = Preprocessing.from_dict(content["preprocessing"])
            splits = (split_files.load(PREPARED / each) for each in ("calibration", "validation"))
            calibration, validation = splits
            np.save(folder / CALIBRATION, normalised(calibration, frame))
            np.save(folder / IMAGES, normalised(validation, frame))
            np.save(folder / LABELS, validation.labels[:MOST_IMAGES])
        else:
            np.save(folder / CALIBRATION, subject.images.numpy())
            np.save(folder / IMAGES, pictures(NUM_PICTURES, subject).numpy())


def normalised(split: Split, frame: Preprocessing) -> NDArray[np.float32]:
    """Return the images of a split as a model takes them."""
    return frame.normalise(split.images[:MOST_IMAGES])


def worker(name: str, folder: Path, target: Path) -> Worker:
    """Return the process of an engine."""
    engine = ENGINES[name]
    python = (
        sys.executable
        if engine.how == "onnxruntime"
        else python_with(target / "environments" / "openvino", *OPENVINO)
    )
    paths = folder / engine.file, folder / IMAGES
    return Worker(python, "-m", "benchmarks.one_engine", engine.how, *paths)


def measure(workers: Mapping[str, Worker], folder: Path, *, blocks: int, runs: int) -> Found:
    """Return what all engines answer, and their times in turns.

    Raises:
        EngineError: ONNX Runtime fails. What another engine fails with is its result.
    """
    logits: dict[str, Logits] = {}
    in_int8, failed = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, each in workers.items():
            path = Path(scratch) / "logits.npy"
            try:
                in_int8[name] = each.ask("in_int8")
                each.ask("answer", str(path))
                logits[name] = np.load(path)
            except EngineError as error:
                if ENGINES[name].how == "onnxruntime":
                    raise
                failed[name] = f"no: {error}".replace("|", "/")
    working = {name: workers[name] for name in logits}
    chance = np.random.default_rng()
    milliseconds = interleaved.until_quiet(
        lambda: block(working, chance, runs), OURS, num_blocks=blocks, max_noise=100, max_seconds=0
    )
    answers = {name: right(each, logits[OF_FLOAT], folder) for name, each in logits.items()}
    return Found(milliseconds, answers, in_int8, failed)


def block(
    workers: Mapping[str, Worker], chance: np.random.Generator, runs: int
) -> dict[str, NDArray[np.float64]]:
    """Return ms of each run, [runs] of each engine, one turn after another."""
    names = chance.permutation(list(workers)).tolist()
    return {name: np.array(workers[name].ask("time", WARM_UP + runs)[WARM_UP:]) for name in names}


def right(logits: Logits, of_float: Logits, folder: Path) -> float:
    """Return percent of images answered right, or as by float where there is no right answer."""
    if (folder / LABELS).is_file():
        return float(100 * (logits.argmax(1) == np.load(folder / LABELS)).mean())
    return agreement(of_float, logits)


def ratio(other: block_times.Times, ours: block_times.Times) -> str:
    """Return how many times as long another takes as ours, with its 95 % interval."""
    low, high = block_times.speedup_bounds(other, ours, significance.SURE_95)
    return f"{np.median(other / ours):.2f} ({low:.2f} to {high:.2f})"


def profiles(network: str, folder: Path, target: Path) -> Iterator[str]:
    """Yield a table of the layers that take longest, of each int8."""
    images = np.load(folder / IMAGES)[:PROFILE_RUNS]
    accounts: dict[str, list[Sequence[Layer]]] = defaultdict(list)
    there = [name for name in IN_INT8 if name != OURS]
    with ExitStack() as stack:
        workers = {name: stack.enter_context(worker(name, folder, target)) for name in there}
        for _ in range(PROFILE_ROUNDS):
            kernels = profile.kernels(folder / INT8, images)
            accounts[OURS] += _by_image(kernels, len(images))
            for name, each in workers.items():
                accounts[name].append(each.ask("profile", PROFILE_RUNS))
    yield from (network, "", *PROFILE_HEADER)
    for name, account in accounts.items():
        yield from longest(name, account)


def _by_image(kernels: Sequence[profile.Kernel], count: int) -> Iterator[Sequence[Layer]]:
    layers = [(each.node, each.operator, each.microseconds) for each in kernels]
    size = len(layers) // count
    return (layers[start : start + size] for start in range(0, len(layers), size))


def longest(name: str, accounts: Sequence[Sequence[Layer]]) -> Iterator[str]:
    """Yield a line for all layers of an engine, and one for each of those that take longest.

    Layers have the names of the first account: OpenVINO numbers some of them anew in each. It
    tells nothing of a layer whose mean is below a microsecond, so that one comes and goes: accounts
    with more or fewer layers than most have are left out.
    """
    usual = mode(len(each) for each in accounts)
    alike = [each for each in accounts if len(each) == usual]
    layers = [(layer, kernel) for layer, kernel, _ in alike[0]]
    times = [[each[2] for each in of_layer] for of_layer in zip(*alike, strict=True)]
    middle = [_middle(each) for each in times]
    total = sum(middle)
    yield f"| {name} | all {len(layers)} | | {total:.0f} | 100 |"
    ordered = sorted(zip(middle, layers, strict=True), key=lambda pair: -pair[0])
    for each, (layer, kernel) in ordered[:NUM_LAYERS]:
        yield f"| {name} | {layer} | {kernel} | {each:.1f} | {100 * each / total:.0f} |"


def _middle(values: Sequence[float]) -> float:
    """Return a mean that no outlier moves: finer than an engine's whole microseconds."""
    return float(np.clip(values, *np.percentile(values, [25, 75])).mean())


if __name__ == "__main__":
    main()
