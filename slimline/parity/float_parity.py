"""Does a float .onnx answer as the network that it was made from? Asked wherever one is written.

Each layer is compared on a few images, those whose logits differ most among them: a layer that does
little moves no logit far, and a deep network that has hardly learnt makes much of a last bit. Only
where layers cannot be compared are logits judged alone. Who asks for the values of layers has other
operators fused than who does not, so that the answers of both are compared as well. How the int8
product is compared is in `slimline.parity.int8_parity`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.networks.classifier import Classifier
from slimline.parity import layer_parity, places
from slimline.targets.onnxruntime import runtime, to_onnx

_NUM_IMAGES, _BATCH = 200, 50
_FIRST, _WORST = 16, 4
"""Images whose layers are compared: the first, and those whose logits differ most."""

_CARRIED_ON = 10
"""How many times as far apart two sound ways to run a file may be as one is from the network."""

_MAX_DIFFERENCE = 0.1
"""Of any logit, percent of the spread from the smallest to the largest."""


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
    network = exported(model)
    for optimised in (False, True):
        loaded = runtime.load(path, num_threads=num_threads, optimised=optimised)
        found = np.concatenate([runtime.run(loaded, batch) for batch in _batches(images)])
        worst = np.abs(expected - found).max(1).argsort(kind="stable")[-_WORST:]  # NaN is last
        rows = sorted({*range(min(_FIRST, len(images))), *worst.tolist()})
        compared = layer_parity.compare(
            network, path, images[rows], optimised=optimised, num_threads=num_threads
        )
        differ = _difference(expected, found)
        how = "optimised" if optimised else "written"
        if differ and compared and not compared.parting:
            _check_answers(expected[rows], compared.logits, found[rows], path, how)
        if compared.parting if compared else differ:
            where = layer_parity.explain(compared)
            told = "; ".join([differ, where] if differ else [where])
            raise ParityError(
                f"the network and its .onnx, run by ONNX Runtime as it is {how}, {told}: the file "
                "is exported or executed wrongly, which no setting mends; please report it with "
                "the name of the backbone"
            )


def _check_answers(
    expected: NDArray[np.float32],
    looked_into: NDArray[np.float32],
    found: NDArray[np.float32],
    path: Path,
    how: str,
) -> None:
    """Refuse a file that answers otherwise than while its layers, all sound, were looked into.

    How far the last bits are carried on is seen where they were: there the file differs from the
    network by nothing else.

    Raises:
        ParityError: it does.
    """
    carried_on = float(np.abs(looked_into - expected).max())
    difference = float(np.abs(looked_into - found).max())
    if not difference <= _CARRIED_ON * carried_on:  # NaN is more
        raise ParityError(
            f"{path.name}, run by ONNX Runtime as it is {how}, answers otherwise than while its "
            f"layers are looked into, by {difference:.3g} in a logit where rounding explains "
            f"{_CARRIED_ON * carried_on:.3g}: it is executed wrongly, which no setting mends; "
            "please report it with the name of the backbone"
        )


def _difference(expected: NDArray[np.float32], found: NDArray[np.float32]) -> str:
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


def exported(model: Classifier) -> fx.GraphModule:
    """Return the network as a graph of operators that takes any number of images."""
    network: fx.GraphModule = to_onnx.program(model.network, model.example).module()
    _join_twins(network)
    return network


def _join_twins(network: fx.GraphModule) -> None:
    """Compute an activation once that several branches compute of one value, as the file does."""
    first: dict[str, fx.Node] = {}
    for node in list(network.graph.nodes):
        if node.target not in places.ACTIVATIONS or _changes_in_place(node):
            continue
        twin = first.setdefault(f"{node.target}{node.args}{node.kwargs}", node)
        if twin is not node:
            node.replace_all_uses_with(twin)
            network.graph.erase_node(node)
    network.recompile()


def _changes_in_place(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable
