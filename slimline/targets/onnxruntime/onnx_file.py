"""What an .onnx file holds and costs, and how much of it ONNX Runtime executes in int8."""

import math
import re
import zlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference

from slimline.targets.model_file import ModelFile
from slimline.targets.onnxruntime import profile, runtime
from slimline.targets.onnxruntime.profile import Kernel

_TRANSPOSED = "ConvTranspose"
_EINSUM = "Einsum"
_FLOAT_OPS = {"Conv", _TRANSPOSED, "Gemm", "MatMul", _EINSUM}
_INT8_OPS = {
    "QLinearConv",
    "QGemm",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
}

_RECURRENT = {"LSTM", "GRU", "RNN"}
"""What has no int8 form in ONNX Runtime but a dynamic one."""

_OF_WEIGHTS = {"DequantizeLinear", "QuantizeLinear", "Transpose", "Pad", "Reshape", "Cast"}
"""What stands between a layer and the constant that its weight is made from."""

_NODE_NAME = re.compile(r"[A-Za-z]+\d+")
"""As `slimline.targets.onnxruntime.to_onnx.clean` names the nodes with weights."""


def inspect(path: Path) -> ModelFile:
    """Return the counts of a file that follows our ONNX contract."""
    content = path.read_bytes()
    model = onnx.load_from_string(content)
    graph = _Graph(model)
    weights = list(graph.weights())
    return ModelFile(
        num_bytes=len(content),
        num_bytes_deflated=len(zlib.compress(content, level=9)),
        params=sum(weight.size for weight in weights) + graph.num_bias_entries(),
        weights=sum(weight.size for weight in weights),
        zeros=sum(int((weight == 0).sum()) for weight in weights),
        macs=graph.macs(),
        int8_macs=graph.macs(executed_in_int8(path)),
    )


def executed_in_int8(path: Path) -> set[str]:
    """Return the names of the nodes that ONNX Runtime executes in int8, by its own account."""
    names = {weighted_node(each) for each in profile.kernels(path) if each.operator in _INT8_OPS}
    return {name for name in names if name}


def weighted_node(kernel: Kernel) -> str:
    """Return the name, in the file, of the node with a weight that a kernel executes, or ""."""
    match = _NODE_NAME.match(kernel.node)
    return match[0] if match else ""


def weight_entries(path: Path) -> dict[str, int]:
    """Return the entries of each weight, by the name of its node, in the order of the file."""
    return _Graph(onnx.load(path)).weight_entries()


def product_share(path: Path) -> float:
    """Return percent of the multiply-accumulates in products of two computed matrices."""
    graph = _Graph(onnx.load(path))
    return 100 * graph.product_macs() / max(1, graph.macs())


class _Graph:
    """Finds weights and shapes in a model, whether it is float or in QDQ form."""

    def __init__(self, model: onnx.ModelProto) -> None:
        for value in [*model.graph.input, *model.graph.output]:
            value.type.tensor_type.shape.dim[0].dim_value = 1  # so that all other sizes are known
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        self._nodes = list(inferred.graph.node)
        self._constants = {each.name: each for each in inferred.graph.initializer}
        self._made_by = {name: node for node in self._nodes for name in node.output}
        values = [*inferred.graph.value_info, *inferred.graph.output]
        inputs = inferred.graph.input
        self._shapes = {each.name: _shape_of_one_image(each) for each in [*inputs, *values]}
        ends = {name for node in self._layers() for name in (node.input[0], node.output[0])}
        ends |= {name for node in self._layers() if node.op_type == _EINSUM for name in node.input}
        ends -= set(self._constants)
        ends |= {node.input[0] for node in self._nodes if node.op_type in _RECURRENT}
        if not all(all(self._shapes.get(name, [0])) for name in ends):
            self._shapes |= _shapes_as_run(model, sorted(ends - {each.name for each in inputs}))

    def weights(self) -> Iterator[NDArray[Any]]:
        """Yield each weight of a convolution or linear layer, 0 where it stands for 0.

        One that is used several times is yielded once.
        """
        of_name = {self._weight_name(node): node for node in self._weighted()}
        for node in of_name.values():
            yield self._weight(node)

    def _einsum_macs(self, node: onnx.NodeProto) -> int:
        """Return one multiplication for each value of all indices, those that are summed too."""
        (equation,) = (each.s.decode() for each in node.attribute if each.name == "equation")
        sizes: dict[str, int] = {}
        for term, name in zip(equation.partition("->")[0].split(","), node.input, strict=True):
            for index, size in _indexed(term, self._shape(name)):
                sizes[index] = max(size, sizes.get(index, 1))
        return math.prod(sizes.values())

    def _shape(self, name: str) -> list[int]:
        """Return the sizes of a value for one image, or of a constant."""
        constant = self._constants.get(name)
        return self._shapes[name] if constant is None else list(constant.dims)

    def weight_entries(self) -> dict[str, int]:
        """Return the entries of each weight that may be int8, by the name of its node."""
        return {
            node.name: self._weight(node).size
            for node in self._weighted()
            if node.op_type != _TRANSPOSED
        }

    def macs(self, names: Container[str] | None = None) -> int:
        """Return the multiply-accumulates of one image, of all nodes or of those named.

        Products of two computed matrices, as in attention, are among them, and recurrent layers.
        """
        found = sum(
            self._macs_of(node) for node in self._layers() if names is None or node.name in names
        )
        return found + (self._recurrent_macs() if names is None else 0)

    def product_macs(self) -> int:
        """Return those of products without a weight, as attention has two."""
        layers = {node.name for node in self._weighted()}
        return self.macs() - self.macs(layers) - self._recurrent_macs()

    def _recurrent_macs(self) -> int:
        """Return those of recurrent layers: both their matrices, at each place of a sequence."""
        nodes = [node for node in self._nodes if node.op_type in _RECURRENT]
        return sum(
            math.prod(self._shapes[node.input[0]][:2]) * math.prod(self._constants[name].dims)
            for node in nodes
            for name in node.input[1:3]
            if name in self._constants
        )

    def num_bias_entries(self) -> int:
        """Return the entries of all constants that are added, scaled or normalised with."""
        weights = {self._weight_name(node) for node in self._weighted()}
        of_quantization = {
            name
            for node in self._nodes
            if node.op_type in {"QuantizeLinear", "DequantizeLinear"}
            for name in node.input[1:]
        }
        return sum(
            math.prod(tensor.dims)
            for name, tensor in self._constants.items()
            if name not in weights | of_quantization
            and tensor.data_type != onnx.TensorProto.INT64
            and tensor.dims
        )

    def _layers(self) -> Iterator[onnx.NodeProto]:
        for node in self._nodes:
            if node.op_type in _FLOAT_OPS | _INT8_OPS and len(node.input) > 1:
                yield node

    def _weighted(self) -> Iterator[onnx.NodeProto]:
        return (node for node in self._layers() if self._weight_name(node) is not None)

    def _weight(self, node: onnx.NodeProto) -> NDArray[Any]:
        """Return the weight, with the zeros that are left to ONNX Runtime to append."""
        name = self._weight_name(node)
        assert name is not None
        weight = numpy_helper.to_array(self._constants[name])
        for maker in self._weight_makers(node):
            if maker.op_type == "Pad":
                pads = numpy_helper.to_array(self._constants[maker.input[1]]).reshape(2, -1)
                weight = np.pad(weight, pads.T)
        return weight

    def _weight_name(self, node: onnx.NodeProto) -> str | None:
        """Return the constant that a layer's weight is made from; None for a product of images."""
        name: str = node.input[1]
        for maker in self._weight_makers(node):
            name = maker.input[0]
        return name if name in self._constants else None

    def _weight_makers(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield the nodes between a layer and what its weight is made from."""
        name = node.input[1]
        while name in self._made_by and self._made_by[name].op_type in _OF_WEIGHTS:
            yield self._made_by[name]
            name = self._made_by[name].input[0]

    def _macs_of(self, node: onnx.NodeProto) -> int:
        output = self._shapes[node.output[0]]
        if node.op_type == _EINSUM:
            return self._einsum_macs(node)
        if self._weight_name(node) is None:
            return math.prod(output) * self._shape(node.input[0])[-1]
        weight: tuple[int, ...] = self._weight(node).shape
        if node.op_type == _TRANSPOSED:
            return math.prod(self._shapes[node.input[0]]) * math.prod(weight[1:])
        if "Conv" in node.op_type:
            return math.prod(output) * math.prod(weight[1:])
        return math.prod(output[:-1]) * math.prod(weight)


_ELLIPSIS = "..."


def _indexed(term: str, shape: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield the indices of a term of an equation with their sizes, from the last to the first."""
    before, dots, behind = term.replace(" ", "").partition(_ELLIPSIS)
    more = len(shape) - len(before + behind) if dots else 0
    names = [*before, *(f"{_ELLIPSIS}{place}" for place in range(more, 0, -1)), *behind]
    return zip(reversed(names), reversed(shape), strict=True)


def _shape_of_one_image(value: onnx.ValueInfoProto) -> list[int]:
    """Return the sizes of a value, 0 for those that are not known."""
    return [each.dim_value for each in value.type.tensor_type.shape.dim]


def _shapes_as_run(model: onnx.ModelProto, names: list[str]) -> dict[str, list[int]]:
    """Return the shapes of values for one black image; a computed shape hides some otherwise."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {each.name for each in model.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=each) for each in names if each not in own)
    session = runtime.load(watched.SerializeToString(), num_threads=1, optimised=False)
    (image,) = session.get_inputs()
    black = np.zeros(image.shape, np.float32)
    found = session.run(names, {image.name: black})
    return {name: list(value.shape) for name, value in zip(names, found, strict=True)}
