"""How fast models answer and how much memory they take. Noisy: never part of a bit-exact check.

All models are measured in one process, in turns of short blocks, so that a slow minute of the
machine hits all of them alike; ratios are taken block by block. How a turn goes, and how many there
are, is in `slimline.measure.interleaved`; section `benchmark` is read here.
"""

import re
import resource
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from slimline.measure import block_times, interleaved
from slimline.measure.interleaved import Inputs, Loader
from slimline.params import Params
from slimline.targets.runtimes import Deployable

_MIB = 1024**2
_STATUS = Path("/proc/self/status")
"""Tells the peak since the program began; Linux's ru_maxrss counts the parent's memory as well."""
WARM_UP = 5
"""Images at the beginning of a turn that are not counted."""


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

    max_noise: Annotated[float, Field(gt=0, le=100)]
    """Percent by which a speedup may be off, half its 95 % interval, before a run is noisy."""

    max_seconds: Annotated[float, Field(ge=0, le=86_400)]
    """Seconds that turns may take while the run is noisy: `blocks` are added until then."""

    runtimes: list[Literal["openvino"]] = Field(default_factory=list)
    """What else runs the .onnx files, in turns with ONNX Runtime; the report says which is faster.
    It must be installed."""


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
    base_rss_bytes: int = 0
    """The same before the model is loaded: Python, numpy and the runtime."""

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
    def noise(self) -> float:
        """Percent by which `speedup` may be off; infinite where there are too few blocks."""
        return block_times.noise(np.median(self.reference, axis=1), self.block_ms)

    @property
    def images_per_s(self) -> float:
        """Throughput in batches, by the median batch."""
        return self.batch_size / float(np.median(self.batch_seconds))

    @property
    def peak_rss_mib(self) -> float:
        """Largest memory of a process that loads the model and answers one image."""
        return self.peak_rss_bytes / _MIB

    @property
    def base_rss_mib(self) -> float:
        """What of it is Python with the runtime, whatever the model."""
        return self.base_rss_bytes / _MIB


def measure(
    models: Mapping[str, Deployable],
    reference: str,
    images: NDArray[np.float32],
    settings: BenchmarkParams,
    *,
    num_threads: int,
    own_images: Mapping[str, Inputs] = MappingProxyType({}),
) -> dict[str, Latency]:
    """Return the times of each model, by name; `images` is float32 [count, channels, h, w].

    `own_images` are the same for models that take them otherwise, as raw pixels.
    """
    single = single_image_times(
        {name: partial(each.load, num_threads=1) for name, each in models.items()},
        reference,
        images,
        settings,
        own_images=own_images,
    )
    rows = np.arange(settings.batch_size) % len(images)
    batch = _batch_times(
        {name: partial(each.load, num_threads=num_threads) for name, each in models.items()},
        images[rows],
        settings,
        own_batches={name: own[rows] for name, own in own_images.items()},
    )
    memory = {
        name: _memory(each, own_images.get(name, images)[:1]) for name, each in models.items()
    }
    return {
        name: Latency(
            milliseconds=single[name],
            reference=single[reference],
            batch_seconds=batch[name],
            batch_size=settings.batch_size,
            base_rss_bytes=memory[name][0],
            peak_rss_bytes=memory[name][1],
        )
        for name in models
    }


def single_image_times(
    models: Mapping[str, Loader],
    reference: str,
    images: NDArray[np.float32],
    settings: BenchmarkParams,
    *,
    own_images: Mapping[str, Inputs] = MappingProxyType({}),
) -> dict[str, NDArray[np.float64]]:
    """Return ms of one image, [blocks, runs] of each model, measured in turns until quiet."""
    # Drawn anew in every run: that chance knows no order is what the intervals rest on.
    order = np.random.default_rng()
    batches = _one_by_one(images)
    own_batches = {name: _one_by_one(own) for name, own in own_images.items()}
    return interleaved.until_quiet(
        lambda: interleaved.block(
            models,
            batches,
            order,
            runs=settings.runs,
            warm_up=WARM_UP,
            own_batches=own_batches,
        ),
        reference,
        num_blocks=settings.blocks,
        max_noise=settings.max_noise,
        max_seconds=settings.max_seconds,
    )


def _one_by_one(images: Inputs) -> list[Inputs]:
    return [image[np.newaxis] for image in images]


def _batch_times(
    models: Mapping[str, Loader],
    batch: NDArray[np.float32],
    settings: BenchmarkParams,
    own_batches: Mapping[str, Inputs],
) -> dict[str, NDArray[np.float64]]:
    """Return seconds of one batch, [batches] of each model."""
    order = np.random.default_rng()
    own = {name: [each] for name, each in own_batches.items()}
    taken = [
        interleaved.block(models, [batch], order, runs=1, warm_up=1, own_batches=own)
        for _ in range(settings.batches)
    ]
    return {name: np.concatenate([each[name] for each in taken]) / 1000 for name in models}


def _memory(model: Deployable, image: Inputs) -> tuple[int, int]:
    """Return bytes of a fresh process, in which no other model's memory counts.

    The peak before the model is loaded, the runtime imported, and that after its first answer.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_answer_and_weigh, model, image).result()


def _answer_and_weigh(model: Deployable, image: Inputs) -> tuple[int, int]:
    runtime = model.runtime  # imported when it is first asked for
    before = _peak_rss_bytes()
    runtime.run(runtime.load(model.path, num_threads=1), image)
    return before, _peak_rss_bytes()


def _peak_rss_bytes() -> int:
    if _STATUS.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        assert found is not None
        return 1024 * int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
