"""Is a model called different from itself, and is one found that is 5 % slower?

    python -m benchmarks.latency_noise
    python -m benchmarks.latency_noise --models some.onnx --kinds same --tests 100
    python -m benchmarks.latency_noise --record times.tsv
    python -m benchmarks.latency_noise --replay times.tsv

times a model and its copy under another name, again and again, by the code and the settings of the
benchmark stage, and prints how often the 95 % interval of their ratio excludes 1:

    same       the copy is the same file: at most 5 % of the tests may call it different
    slower     each of the copy's answers is followed by waiting, busily, for 5 % of the model's
               median time: at least 90 % must find it
    same, kept as `same`, but both sessions are loaded once per test, as they are no longer: why the
               stage loads a model anew for each turn

The wait is a fair slowdown of 5 %, since it is the same for every run and as long as it is said to
be, to a microsecond: what is really 5 % slower is not known of any two files better than what is
tested here. It adds no noise of its own. That a real slower model may have other noise, `same`
shows for each model that is given.

A test is over when it is quiet, as in the stage; `noisy` counts those that were not within the
seconds that they had. With the default models it takes about six minutes. `--record` keeps the
times of all blocks; `--replay` draws the table from such a file, without measuring.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from slimline import files, params, processor
from slimline.artifacts import description
from slimline.measure import block_times, latency, machine, significance
from slimline.measure.block_times import Times
from slimline.measure.interleaved import Loader, Timed
from slimline.measure.latency import BenchmarkParams
from slimline.measure.machine import Load
from slimline.processor import Cpu
from slimline.targets.onnxruntime import runtime
from slimline.targets.runtimes import Deployable

MODELS = [Path("models/int8_export/model.onnx"), Path("models/prune/model.onnx")]
SLOWER = 0.05
COLUMNS = ("model", "kind", "test", "original", "copy")


@dataclass(frozen=True)
class Subject:
    """A file and its copy, with the images that both answer."""

    path: Path
    copy: Path
    images: NDArray[np.float32]
    """[count, channels, height, width]."""


@dataclass(frozen=True)
class Test:
    """One measurement of a model against its copy."""

    model: str
    kind: str
    original: Times
    copy: Times

    @property
    def bounds(self) -> tuple[float, float]:
        """95 % interval of how many times as long the copy takes."""
        return block_times.speedup_bounds(self.copy, self.original, significance.SURE_95)

    @property
    def is_called_different(self) -> bool:
        """Whether the interval excludes 1."""
        return not self.bounds[0] <= 1 <= self.bounds[1]

    @property
    def noise(self) -> float:
        """Half the width of the interval, percent."""
        return block_times.noise(self.original, self.copy)


def main() -> None:
    """Print the table, a line for each model and kind of copy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", type=Path, default=MODELS, help=".onnx files")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of copies")
    parser.add_argument("--tests", type=int, default=60, help="of each kind and model")
    parser.add_argument("--seconds", type=float, default=10, help="that a noisy test may take")
    parser.add_argument("--record", type=Path, help="write the times of all blocks to this file")
    parser.add_argument("--replay", type=Path, help="read them from this file, measure nothing")
    given = parser.parse_args()
    stage = params.load("benchmark", BenchmarkParams)
    settings = stage.model_copy(update={"max_seconds": given.seconds})
    if given.replay:
        tests = _read(given.replay)
    else:
        watch = machine.watch()
        tests = list(_measured(given.models, given.kinds, given.tests, settings))
        print(f"{_told(processor.cpu(), watch.load())}\n")
    if given.record:
        _record(given.record, tests)
    _print(tests, settings)


def _measured(
    paths: Sequence[Path], kinds: Sequence[str], count: int, settings: BenchmarkParams
) -> Iterator[Test]:
    for path in paths:
        name = path.parent.name if path.name == description.ONNX else path.stem
        with tempfile.TemporaryDirectory() as folder:
            copied = Path(shutil.copy(path, folder))
            subject = Subject(path, copied, _images(path))
            for kind in kinds:
                for _ in range(count):
                    models = KINDS[kind](subject, settings)
                    times = latency.single_image_times(models, "original", subject.images, settings)
                    medians = {name: np.median(each, axis=1) for name, each in times.items()}
                    yield Test(name, kind, **medians)


def _images(path: Path) -> NDArray[np.float32]:
    shape = runtime.load(path, num_threads=1).get_inputs()[0].shape[1:]
    return np.random.default_rng(0).standard_normal([20, *shape], np.float32)


def _same(subject: Subject, _: BenchmarkParams) -> dict[str, Loader]:
    return {
        "original": partial(Deployable(subject.path).load, num_threads=1),
        "copy": partial(Deployable(subject.copy).load, num_threads=1),
    }


def _slower(subject: Subject, settings: BenchmarkParams) -> dict[str, Loader]:
    models = _same(subject, settings)
    short = settings.model_copy(update={"blocks": 5, "max_seconds": 0})
    alone = {"original": models["original"]}
    times = latency.single_image_times(alone, "original", subject.images, short)["original"]
    load, wait = models["copy"], SLOWER * float(np.median(times)) / 1000
    return models | {"copy": lambda: _waiting(load(), wait)}


def _kept(subject: Subject, settings: BenchmarkParams) -> dict[str, Loader]:
    return {name: _loaded(load()) for name, load in _same(subject, settings).items()}


def _loaded(answer: Timed) -> Loader:
    return lambda: answer


def _waiting(answer: Timed, seconds: float) -> Timed:
    def answer_late(batch: NDArray[np.float32]) -> object:
        answered = answer(batch)
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass
        return answered

    return answer_late


KINDS: Mapping[str, Callable[[Subject, BenchmarkParams], dict[str, Loader]]] = {
    "same": _same,
    "slower": _slower,
    "same, kept": _kept,
}


def _record(path: Path, tests: Sequence[Test]) -> None:
    rows = [
        dict(zip(COLUMNS, (each.model, each.kind, number, *pair), strict=True))
        for number, each in enumerate(tests)
        for pair in zip(each.original.tolist(), each.copy.tolist(), strict=True)
    ]
    files.write_table(path, rows)


def _read(path: Path) -> list[Test]:
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    times: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for model, kind, number, original, copy in (line.split("\t") for line in lines):
        times.setdefault((model, kind, number), []).append((float(original), float(copy)))
    return [Test(model, kind, *np.array(pairs).T) for (model, kind, _), pairs in times.items()]


def _told(cpu: Cpu, load: Load) -> str:
    others = "" if load.others is None else f", others used {load.others:.0f} % of the CPUs"
    return f"{cpu.model}, load {load.before:.2f} before and {load.after:.2f} after{others}"


def _print(tests: Sequence[Test], settings: BenchmarkParams) -> None:
    print("| model | copy | tests | called different | 95 % | half width, % | blocks | noisy |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for model, kind in dict.fromkeys((each.model, each.kind) for each in tests):
        found = [each for each in tests if (each.model, each.kind) == (model, kind)]
        num_called = sum(each.is_called_different for each in found)
        low, high = significance.wilson(num_called, len(found), significance.SURE_95)
        cells = [
            model,
            kind,
            str(len(found)),
            f"{num_called} ({100 * num_called / len(found):.1f} %)",
            f"{100 * low:.1f} to {100 * high:.1f} %",
            f"{np.median([each.noise for each in found]):.2f}",
            f"{np.mean([len(each.copy) for each in found]):.0f}",
            str(sum(each.noise > settings.max_noise for each in found)),
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
