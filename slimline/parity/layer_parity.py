"""Names the layer at which an .onnx file parts from the network that it was made from.

Convolutions and linear layers stand in the file in the order in which the network runs them, so
that the n-th of one is the n-th of the other. Of each, what follows its activation is compared: in
an int8 file the bytes, which are asked for as outputs and leave ONNX Runtime's fusions as they are.
The network goes on from what the file has, so that a layer is not blamed for its input: last bits
that rounding turned would add up to many steps in a deep network.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import fx

from slimline.targets.onnxruntime import runtime, to_onnx
from slimline.targets.onnxruntime.graph import QUANTIZE, only_user, scale_and_zero

_aten = torch.ops.aten

_LAYERS = {_aten.conv2d.default, _aten.linear.default}
_ACTIVATIONS = {
    _aten.batch_norm.default,
    _aten.relu.default,
    _aten.relu_.default,
    _aten.hardtanh.default,
    _aten.hardtanh_.default,
    _aten.hardsigmoid.default,
    _aten.hardsigmoid_.default,
}
"""What the file computes together with a layer, BatchNorm as part of its weights."""

_ONNX_LAYERS = {"Conv", "Gemm"}
_ONNX_ACTIVATIONS = ("Relu", "Clip", "HardSigmoid")
_ONNX_MOVES = ("Reshape", "Transpose")
"""What `slimline.targets.onnxruntime.passes.grey_stem` puts after a convolution's bytes."""

INT8_LEVELS = 255
"""Steps that a range has."""

_ROUNDING = 1.5
"""More than the one step that rounding may turn."""


@dataclass(frozen=True)
class LayerDifference:
    """How a layer of the file differs from that of fake-quant, both given the same values."""

    name: str
    """As in the network's weights, without `.weight`."""
    steps: float
    """The largest difference, in steps of the layer's own quantization, or of its float range."""

    @property
    def parts(self) -> bool:
        """Is that more than rounding?"""
        return not self.steps <= _ROUNDING  # NaN is more


def explain(
    network: fx.GraphModule,
    path: Path,
    images: NDArray[np.float32],
    *,
    optimised: bool,
    num_threads: int,
    levels: int = INT8_LEVELS,
) -> str:
    """Return half a sentence that names the first layer which parts. Arguments as of `compare`."""
    if not is_comparable(network, path):
        return "at which layer cannot be told, since the file has others than the network"
    parting = first_parting(
        network, path, images, optimised=optimised, num_threads=num_threads, levels=levels
    )
    if parting is None:
        return (
            f"no layer alone differs by more than one step on {len(images)} images: what rounding "
            "does adds up"
        )
    return (
        f"they part at layer {parting.name}, which differs by up to {parting.steps:.0f} of "
        f"{levels} steps"
    )


def is_comparable(network: fx.GraphModule, path: Path) -> bool:
    """Return whether file and network have as many layers, so that the n-th of each are one.

    A linear layer on more than [images, features] is a MatMul in the file, which is none here.
    """
    return len(list(_onnx_ends(ir.load(path).graph))) == len(dict(_torch_ends(network)))


def first_parting(
    network: fx.GraphModule,
    path: Path,
    images: NDArray[np.float32],
    *,
    optimised: bool,
    num_threads: int,
    levels: int = INT8_LEVELS,
) -> LayerDifference | None:
    """Return the first layer that differs by more than rounding, None where none does."""
    layers = compare(
        network, path, images, optimised=optimised, num_threads=num_threads, levels=levels
    )
    return next((each for each in layers if each.parts), None)


def compare(
    network: fx.GraphModule,
    path: Path,
    images: NDArray[np.float32],
    *,
    optimised: bool,
    num_threads: int,
    levels: int = INT8_LEVELS,
) -> list[LayerDifference]:
    """Return all layers in order of execution.

    `network` is exported, in evaluation mode, and may have fake-quant that is not yet converted;
    `images` are normalised, float32 [count, channels, height, width]. `levels` is how many steps
    there are in the range of values that stay float.
    """
    model = ir.load(path)
    ends = list(_onnx_ends(model.graph))
    layers = dict(_torch_ends(network))
    assert len(ends) == len(layers), "a file has the layers of its network"
    found = _onnx_values(model, ends, images, optimised=optimised, num_threads=num_threads)
    comparer = _Comparer(network, dict(zip(layers, found, strict=True)), levels)
    with torch.no_grad():
        comparer.run(torch.from_numpy(images))
    return [LayerDifference(name, comparer.steps[end]) for end, name in layers.items()]


@dataclass(frozen=True)
class _FileValues:
    """A layer's values as the file has them."""

    values: NDArray[np.float32]
    step: float
    """0 where they are float."""


class _Comparer(fx.Interpreter):
    """Runs a network, and goes on from each layer with what the file has there."""

    def __init__(
        self, network: fx.GraphModule, found: Mapping[fx.Node, _FileValues], levels: int
    ) -> None:
        super().__init__(network)
        self._found, self._levels = found, levels
        self.steps: dict[fx.Node, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n not in self._found:
            return value
        found = self._found[n]
        step = found.step or float(value.max() - value.min()) / self._levels
        # Padding adds channels of 0 behind those of the network.
        own = torch.from_numpy(found.values[:, : value.shape[1]]).reshape(value.shape)
        difference = float((own - value).abs().max())
        # A layer that gives one value everywhere has no range to count in.
        self.steps[n] = difference / step if step else math.inf if difference else 0.0
        return own


def _torch_ends(network: fx.GraphModule) -> Iterator[tuple[fx.Node, str]]:
    """Yield the node that has each layer's values after its activation, and the layer's name."""
    for node in network.graph.nodes:
        if node.target in _LAYERS:
            yield _torch_end(node), _name(node)


def _torch_end(node: fx.Node) -> fx.Node:
    users = list(node.users)
    while len(users) == 1 and users[0].target in _ACTIVATIONS:
        node, users = users[0], list(users[0].users)
    # An exported network calls no module but fake-quant.
    return next((each for each in users if each.op == "call_module"), node)


def _name(layer: fx.Node) -> str:
    weight = layer.args[1]
    while isinstance(weight, fx.Node) and weight.op != "get_attr":
        weight = weight.args[0]
    assert isinstance(weight, fx.Node)
    return str(weight.target).removesuffix(".weight")


def _onnx_ends(graph: ir.Graph) -> Iterator[tuple[ir.Value, ir.Node | None]]:
    """Yield what has each layer's values, and the node that quantized them, if any did."""
    for node in graph:
        if node.op_type in _ONNX_LAYERS:
            yield _onnx_end(node)


def _onnx_end(layer: ir.Node) -> tuple[ir.Value, ir.Node | None]:
    value = _follow(layer.outputs[0], _ONNX_ACTIVATIONS)
    quantize = only_user(value, QUANTIZE)
    if quantize is None:
        return value, None
    return _follow(quantize.outputs[0], _ONNX_MOVES), quantize


def _follow(value: ir.Value, kinds: tuple[str, ...]) -> ir.Value:
    user = only_user(value, *kinds)
    return value if user is None else _follow(user.outputs[0], kinds)


def _onnx_values(
    model: ir.Model,
    ends: list[tuple[ir.Value, ir.Node | None]],
    images: NDArray[np.float32],
    *,
    optimised: bool,
    num_threads: int,
) -> Iterator[_FileValues]:
    """Yield the values of each end; the model gets outputs for them."""
    for value, _ in ends:
        if not value.is_graph_output():
            model.graph.outputs.append(value)
    content = ir.to_proto(model).SerializeToString()
    loaded = runtime.load(content, num_threads=num_threads, optimised=optimised)
    names = [value.name for value, _ in ends]
    for raw, (_, quantize) in zip(loaded.run(names, {to_onnx.INPUT: images}), ends, strict=True):
        if quantize is None:
            yield _FileValues(raw, 0.0)
            continue
        quantization = scale_and_zero(quantize)
        assert quantization is not None, "layers are quantized in fixed steps"
        scale, zero = quantization
        yield _FileValues((raw.astype(np.float32) - np.float32(zero)) * scale, float(scale))
