"""Does a float .onnx answer as the network that it was made from? Asked wherever one is written.

Both are float32, and differ by less than a thousandth of a percent; the bounds are those of a
wrong export. How the int8 product is compared is in `slimline.parity.int8_parity`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.networks.classifier import Classifier
from slimline.parity import layer_parity
from slimline.targets.onnxruntime import runtime
from slimline.targets.onnxruntime.to_onnx import quiet_exporter

_NUM_IMAGES, _BATCH = 200, 50
_NUM_LOOKED_INTO = 16

_MAX_DIFFERENCE = 0.1
"""Of any logit, percent of the spread from the smallest to the largest."""

_LEVELS = 1000


def checker(model: Classifier, validation: Split, *, num_threads: int) -> Callable[[Path], None]:
    """Return what `artifacts.save` calls with the file it has written."""
    return partial(check, model, validation, num_threads=num_threads)


def check(model: Classifier, validation: Split, path: Path, *, num_threads: int) -> None:
    """Compare both on the first validation images.

    Raises:
        ParityError: they differ; the text names the layer.
    """
    images = model.preprocessing.normalise(validation.images[:_NUM_IMAGES])
    expected = _predict(model, images)
    for optimised in (False, True):
        loaded = runtime.load(path, num_threads=num_threads, optimised=optimised)
        found = np.concatenate([runtime.run(loaded, batch) for batch in _batches(images)])
        broken = _broken(expected, found)
        if broken:
            where = _explain(model, path, images, optimised=optimised, num_threads=num_threads)
            how = "optimised" if optimised else "written"
            raise ParityError(
                f"the network and its .onnx, run by ONNX Runtime as it is {how}, {broken}; {where}"
            )


def _broken(expected: NDArray[np.float32], found: NDArray[np.float32]) -> str:
    """Return how far logits differ, if by more than is allowed; answers follow from logits."""
    spread, difference = float(np.ptp(expected)), float(np.abs(expected - found).max())
    if not difference <= _MAX_DIFFERENCE / 100 * spread:  # NaN is no agreement
        return (
            f"differ in a logit by {difference:.3g}, where {_MAX_DIFFERENCE} % of the logits' "
            f"spread, {spread:.3g}, is allowed"
        )
    return ""


@torch.no_grad()
def _predict(model: Classifier, images: NDArray[np.float32]) -> NDArray[np.float32]:
    network = model.network.cpu().eval()
    logits = [network(torch.from_numpy(batch)) for batch in _batches(images)]
    answers: NDArray[np.float32] = torch.cat(logits).numpy()
    return answers


def _batches(images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]


def _explain(
    model: Classifier,
    path: Path,
    images: NDArray[np.float32],
    *,
    optimised: bool,
    num_threads: int,
) -> str:
    few = images[:_NUM_LOOKED_INTO]
    with quiet_exporter():
        exported = torch.export.export(
            model.network, (torch.from_numpy(few),), strict=False
        ).module()
    return layer_parity.explain(
        exported, path, few, optimised=optimised, num_threads=num_threads, levels=_LEVELS
    )
