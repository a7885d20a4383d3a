"""How fast models answer and how much memory they take. Noisy: never part of a bit-exact check.

All models are measured in one process, in turns of short blocks, so that a slow minute of the
machine hits all of them alike; ratios are taken block by block.
"""

import re
import resource
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from slimline.core.params import Params
from slimline.measure import session

_MIB = 1024**2
_STATUS = Path("/proc/self/status")
"""Tells the peak since the program began; Linux's ru_maxrss counts the parent's memory as well."""

_WARM_UP = 5
"""Runs before each block that are not counted: the model before has just emptied the caches."""


class BenchmarkParams(Params):
    """Section `benchmark`."""

    blocks: Annotated[int, Field(ge=2, le=10_000)]
    """How often each model has its turn."""

    runs: Annotated[int, Field(ge=1, le=10_000)]
    """Single images per turn, one thread."""

    batch_size: Annotated[int, Field(ge=1, le=4096)]
    """Images at once for throughput, all threads of the run."""

    batches: Annotated[int, Field(ge=1, le=10_000)]
    """Batches per model for throughput."""


@dataclass(frozen=True)
class Latency:
    """Raw times of one model, next to those of the reference."""

    milliseconds: NDArray[np.float64]
    """[blocks, runs] of one image on one thread."""
    reference: NDArray[np.float64]
    """The same of the reference model, measured in the same blocks."""
    batch_seconds: NDArray[np.float64]
    """[batches]."""
    batch_size: int
    peak_rss_bytes: int

    @property
    def block_ms(self) -> NDArray[np.float64]:
        """Median time of one image in each block, [blocks]."""
        medians: NDArray[np.float64] = np.median(self.milliseconds, axis=1)
        return medians

    @property
    def p50_ms(self) -> float:
        """Median time of one image."""
        return float(np.median(self.milliseconds))

    @property
    def p95_ms(self) -> float:
        """Time that 95 % of the images stay below."""
        return float(np.percentile(self.milliseconds, 95))

    @property
    def speedup(self) -> float:
        """How many times faster than the reference: the median of the blocks' ratios."""
        ratios = np.median(self.reference, axis=1) / np.median(self.milliseconds, axis=1)
        return float(np.median(ratios))

    @property
    def images_per_s(self) -> float:
        """Throughput in batches, by the median batch."""
        return self.batch_size / float(np.median(self.batch_seconds))

    @property
    def peak_rss_mib(self) -> float:
        """Largest memory of a process that loads the model and answers one image."""
        return self.peak_rss_bytes / _MIB


def measure(
    models: Mapping[str, Path],
    reference: str,
    images: NDArray[np.float32],
    settings: BenchmarkParams,
    *,
    num_threads: int,
) -> dict[str, Latency]:
    """Return the times of each model, by name; `images` is float32 [count, channels, h, w]."""
    single = single_image_times(models, images, settings)
    batch = _batch_times(models, images, settings, num_threads)
    return {
        name: Latency(
            milliseconds=single[name],
            reference=single[reference],
            batch_seconds=batch[name],
            batch_size=settings.batch_size,
            peak_rss_bytes=_peak_rss_bytes(path, images[:1]),
        )
        for name, path in models.items()
    }


def single_image_times(
    models: Mapping[str, Path], images: NDArray[np.float32], settings: BenchmarkParams
) -> dict[str, NDArray[np.float64]]:
    """Return ms of one image on one thread, [blocks, runs] of each model, measured in turns."""
    sessions = {name: session.load(path, num_threads=1) for name, path in models.items()}
    times = {name: np.empty([settings.blocks, settings.runs]) for name in models}
    order = np.random.default_rng(0)
    names = list(models)
    for block in range(settings.blocks):
        for name in order.permutation(names).tolist():
            for run in range(-_WARM_UP, settings.runs):
                image = images[run % len(images)][np.newaxis]
                seconds = _seconds(sessions[name], image)
                if run >= 0:
                    times[name][block, run] = 1000 * seconds
    return times


def _batch_times(
    models: Mapping[str, Path],
    images: NDArray[np.float32],
    settings: BenchmarkParams,
    num_threads: int,
) -> dict[str, NDArray[np.float64]]:
    sessions = {name: session.load(path, num_threads=num_threads) for name, path in models.items()}
    batch = images[np.arange(settings.batch_size) % len(images)]
    times = {name: np.empty(settings.batches) for name in models}
    for turn in range(-1, settings.batches):
        for name in models:
            seconds = _seconds(sessions[name], batch)
            if turn >= 0:
                times[name][turn] = seconds
    return times


def _seconds(runtime: session.Session, images: NDArray[np.float32]) -> float:
    start = perf_counter()
    session.run(runtime, images)
    return perf_counter() - start


def _peak_rss_bytes(path: Path, image: NDArray[np.float32]) -> int:
    """Return the peak memory of a fresh process, so that no other model's memory counts."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_answer_and_weigh, path, image).result()


def _answer_and_weigh(path: Path, image: NDArray[np.float32]) -> int:
    session.run(session.load(path, num_threads=1), image)
    if _STATUS.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        assert found is not None
        return 1024 * int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
