"""What a target can do with a file, without torch: load it, run it, look into it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Images
from slimline.lazy_registry import Registry
from slimline.targets.model_file import ModelFile
from slimline.targets.registry import ONNX_RUNTIME, TARGETS

_BATCH = 100

Answer: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From normalised images [count, channels, height, width] to logits [count, classes]."""


class Runtime(Protocol):
    """Module `runtime` of a target."""

    FILE: str
    """What its file is called in a model folder."""

    def require(self) -> None:
        """Raise TargetError where packages that it needs are not installed."""

    def load(self, model: Path, *, num_threads: int, optimised: bool = True) -> Any:
        """Return a file, ready to run on the CPU; else every operator runs as it is written."""

    def run(self, loaded: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, float32 [count, classes], for float32 [count, channels, height, width]."""

    def inspect(self, path: Path) -> ModelFile:
        """Return what a file holds and costs, and how much of it runs in int8."""


RUNTIMES: Registry[Runtime] = TARGETS.part("runtime")


@dataclass(frozen=True)
class Deployable:
    """A model file, and the target that runs it."""

    path: Path
    target: str = ONNX_RUNTIME

    @property
    def runtime(self) -> Runtime:
        """What loads and runs it."""
        return RUNTIMES[self.target]

    def load(self, *, num_threads: int) -> Answer:
        """Return the model, ready to answer on the CPU."""
        return partial(self.runtime.run, self.runtime.load(self.path, num_threads=num_threads))

    def predict(
        self, images: Images, preprocessing: Preprocessing, *, num_threads: int
    ) -> NDArray[np.float32]:
        """Return logits, float32 [count, classes], for uint8 [count, height, width, channels]."""
        return predict(self.load(num_threads=num_threads), images, preprocessing)

    def inspect(self) -> ModelFile:
        """Return what the file holds and costs, and how much of it runs in int8."""
        return self.runtime.inspect(self.path)


def predict(answer: Answer, images: Images, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return logits, float32 [count, classes], for uint8 [count, height, width, channels]."""
    starts = range(0, len(images), _BATCH)
    batches = (preprocessing.normalise(images[start : start + _BATCH]) for start in starts)
    return np.concatenate([answer(batch) for batch in batches])
