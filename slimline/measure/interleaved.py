"""Models in turns: what makes their times comparable, and when there are enough of them.

In each block every model has one turn, in an order that is drawn anew. A turn loads the model,
lets it answer a few images that do not count, and times the next ones.

- Loaded anew: two sessions of one file, kept for a whole run, differ by a percent or so in how
  their memory lies, all run long. Then more blocks only make an interval narrower around what is
  wrong: more than half of all runs called a model different from its own copy
  (docs/decisions/0014-latency-that-knows-its-noise.md). Loaded for each turn, that is noise like
  any other.
- In random order: two equal models could change names in any block, and what is seen would be as
  probable as before. So which of them is faster in a block is the toss of a fair coin, whatever
  else the machine does meanwhile, and bounds by ranks (`chance.median_bounds`) ask no more.
"""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slimline.measure import block_times

Inputs: TypeAlias = NDArray[Any]
"""[images, ...], as a model takes them."""
Timed: TypeAlias = Callable[[Inputs], object]
Loader: TypeAlias = Callable[[], Timed]
"""Loads a model; called once a turn."""
Runs: TypeAlias = NDArray[np.float64]
"""[runs] of one turn, ms; [blocks, runs] of several."""


def block(
    models: Mapping[str, Loader],
    batches: Sequence[Inputs],
    order: np.random.Generator,
    *,
    runs: int,
    warm_up: int,
    own_batches: Mapping[str, Sequence[Inputs]] = MappingProxyType({}),
) -> dict[str, Runs]:
    """Return ms of each run, [runs] of each model, one turn after another.

    `own_batches` are those of models that take images otherwise, as raw pixels. Before the runs,
    `warm_up` are not counted: memory is not yet laid out.
    """
    names = order.permutation(list(models)).tolist()
    found = {
        name: _turn(models[name](), own_batches.get(name, batches), warm_up + runs)
        for name in names
    }
    return {name: times[warm_up:] for name, times in found.items()}


def until_quiet(
    take: Callable[[], Mapping[str, Runs]],
    reference: str,
    *,
    num_blocks: int,
    max_noise: float,
    max_seconds: float,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, Runs]:
    """Take blocks until the times are known well enough; return [blocks, runs] of each model.

    That is so when no ratio to the reference may be off by more than `max_noise` percent. While it
    is not, `num_blocks` more are taken, and all of them count. Nothing is begun that would not end
    within `max_seconds`; the first `num_blocks` are taken in any case.
    """
    taken: list[Mapping[str, Runs]] = []
    start = clock()
    while True:
        begin = clock()
        taken += [take() for _ in range(num_blocks)]
        times = {name: np.stack([each[name] for each in taken]) for name in taken[0]}
        end = clock()
        is_last = end + (end - begin) > start + max_seconds
        if is_last or _noise(times, reference) <= max_noise:
            return times


def _noise(times: Mapping[str, Runs], reference: str) -> float:
    medians = {name: np.median(each, axis=1) for name, each in times.items()}
    return max(block_times.noise(medians[reference], each) for each in medians.values())


def _turn(answer: Timed, batches: Sequence[Inputs], runs: int) -> Runs:
    return np.array([_milliseconds(answer, batches[run % len(batches)]) for run in range(runs)])


def _milliseconds(answer: Timed, batch: Inputs) -> float:
    start = perf_counter()
    answer(batch)
    return 1000 * (perf_counter() - start)
