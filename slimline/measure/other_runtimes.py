"""The same .onnx files in other runtimes, beside ONNX Runtime: how fast, and with which answers.

`metrics/benchmark/runtimes.tsv` has a line for each model and runtime that `benchmark.runtimes`
names; it is not written where that names none. Noisy, as all of latency.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimline import files
from slimline.measure import block_times, latency
from slimline.measure.interleaved import Inputs
from slimline.measure.latency import BenchmarkParams
from slimline.measure.significance import SURE_95
from slimline.measure.variant_figures import ResultsError
from slimline.targets.onnxruntime import by_openvino
from slimline.targets.runtimes import Answer, Deployable

FILE = "runtimes.tsv"
"""Beside the blocks of times."""

_OURS = "onnxruntime"

Load = Callable[[Path], Answer]
"""From a file to what answers on one thread."""

LOADERS: Mapping[str, Load] = {"openvino": partial(by_openvino.load, num_threads=1)}


@dataclass(frozen=True)
class OtherRuntime:
    """A model in another runtime."""

    variant: str
    runtime: str
    p50_ms: float
    """Of one image on one thread."""
    times_as_fast: float
    """As ONNX Runtime with the same file: the median of the blocks' ratios, above 1 if faster."""
    low: float
    """Of its 95 % interval."""
    high: float
    agreement: float
    """Percent of the images, of which `images` were given, with ONNX Runtime's answer."""
    images: int

    @property
    def is_faster(self) -> bool:
        """Whether it is, beyond noise."""
        return self.low > 1

    @property
    def is_slower(self) -> bool:
        """Whether ONNX Runtime is faster beyond noise."""
        return self.high < 1


def measure(
    models: Mapping[str, Deployable],
    images: Mapping[str, Inputs],
    settings: BenchmarkParams,
    loaders: Mapping[str, Load] = LOADERS,
) -> list[OtherRuntime]:
    """Return figures of each model in each of `settings.runtimes`, in turns with ONNX Runtime.

    `images` [count, ...] are those that each model takes, by its name. The seconds that turns may
    take are shared by the models.
    """
    shared = settings.model_copy(update={"max_seconds": settings.max_seconds / len(models)})
    chosen: dict[str, Load] = {name: loaders[name] for name in settings.runtimes}
    return [
        found
        for name, model in models.items()
        for found in _of_model(name, model, images[name], shared, chosen)
    ]


def write(about: Path, found: Sequence[OtherRuntime]) -> None:
    """Write the table into a folder."""
    header = [each.name for each in fields(OtherRuntime)]
    rounded = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for row in map(asdict, found)
    ]
    files.write_table(about / FILE, rounded, header=header)


def read(about: Path) -> list[OtherRuntime]:
    """Return the table of a folder; nothing where no other runtime was asked for.

    Raises:
        ResultsError: the file is damaged.
    """
    path = about / FILE
    if not path.is_file():
        return []
    kinds = {"variant": str, "runtime": str, "images": int}
    try:
        return [
            OtherRuntime(**{key: kinds.get(key, float)(value) for key, value in row.items()})
            for row in files.read_table(path)
        ]
    except (TypeError, ValueError) as error:
        raise ResultsError(f"{path}: is no table of runtimes: {error}; run `dvc repro`") from None


def _of_model(
    name: str,
    model: Deployable,
    images: Inputs,
    settings: BenchmarkParams,
    loaders: Mapping[str, Load],
) -> list[OtherRuntime]:
    loads = {key: partial(load, model.path) for key, load in loaders.items()}
    all_loads = {_OURS: partial(model.load, num_threads=1), **loads}
    singles = latency.single_image_times(
        all_loads, _OURS, images, settings, own_images=dict.fromkeys(all_loads, images)
    )
    times = {key: np.median(each, axis=1) for key, each in singles.items()}
    answers = {key: _answers(load(), images) for key, load in all_loads.items()}
    found = []
    for key in loads:
        low, high = block_times.speedup_bounds(times[_OURS], times[key], SURE_95)
        found.append(
            OtherRuntime(
                variant=name,
                runtime=key,
                p50_ms=float(np.median(singles[key])),
                times_as_fast=float(np.median(times[_OURS] / times[key])),
                low=low,
                high=high,
                agreement=100 * float(np.mean(answers[key] == answers[_OURS])),
                images=len(images),
            )
        )
    return found


def _answers(answer: Answer, images: Inputs) -> NDArray[np.int64]:
    return np.concatenate(
        [answer(images[row : row + 1]).argmax(axis=1) for row in range(len(images))]
    )
