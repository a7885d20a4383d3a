"""What a .tflite holds: its layers, and what of it computes in float. Free of torch."""

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slimline.targets import layer_counts
from slimline.targets.layer_counts import Layer

_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"}
"""Operators of an image, a weight and a bias; layers where the weight is a constant."""
_MOVES = {
    "QUANTIZE",
    "DEQUANTIZE",
    "RESHAPE",
    "TRANSPOSE",
    "SLICE",
    "STRIDED_SLICE",
    "SPLIT",
    "SQUEEZE",
    "EXPAND_DIMS",
}
"""Operators that compute nothing themselves."""
_INT8, _FLOAT = "INT8", "FLOAT32"
_DTYPES: dict[str, Any] = {_INT8: np.int8, _FLOAT: np.float32}


Steps: TypeAlias = tuple[tuple[float, ...], int]
"""Scales, one or one a channel, and zero point of bytes."""


def describe(path: Path) -> dict[str, Any]:
    """Return what `model.json` says of a file: counts, and what is left in float."""
    graph = _Graph(path)
    return layer_counts.describe(list(graph.layers()), list(graph.float_operators()))


def counts(path: Path) -> dict[str, int]:
    """Return the counts of a file, by their names in `slimline.targets.model_file.ModelFile`."""
    return layer_counts.counts(list(_Graph(path).layers()))


def ranges(path: Path) -> dict[Steps, str]:
    """Return what bytes stand for, of weights and of what is computed, and of which layer."""
    return dict(_Graph(path).ranges())


class _Graph:
    """The graph of a file."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        # The first is what runs; others are the bodies of its loops, as sorting has one.
        self._graph = self._model.subgraphs[0]

    def layers(self) -> Iterator[Layer]:
        """Yield the layers, in the order in which they run."""
        for operator in self._graph.operators:
            weight = self._weight(operator)
            if weight is None:
                continue
            _, _, *rest = (each for each in operator.inputs if each >= 0)
            values = self._values(weight).reshape(self._tensor(weight).shape)
            values = values[..., : values.shape[-1] - self._num_ends(operator)]
            outputs = self._tensor(operator.outputs[0])
            yield Layer(
                name=_layer(self._tensor(weight)),
                params=values.size + sum(int(math.prod(self._tensor(each).shape)) for each in rest),
                weights=values.size,
                zeros=int((values == 0).sum()),
                macs=int(math.prod(outputs.shape[:-1])) * values.size,
                # Of an image of floats too: the kernel rounds it (`hybrid_layers`).
                is_int8=self._kind(weight) == _INT8,
            )

    def float_operators(self) -> Iterator[dict[str, str]]:
        """Yield what computes in float and is no layer."""
        for operator in self._graph.operators:
            name, (output, *_) = self._name(operator), operator.outputs
            is_float = self._kind(output) == _FLOAT
            if is_float and name not in _MOVES and self._weight(operator) is None:
                yield {"layer": _layer(self._tensor(output)), "operator": name.lower()}

    def ranges(self) -> Iterator[tuple[Steps, str]]:
        """Yield scales and zero point of each tensor of bytes, and the layer that it stems from."""
        for number, tensor in enumerate(self._graph.tensors):
            if self._kind(number) == _INT8:
                found = tensor.quantization
                (zero_point,) = set(found.zeroPoint.tolist())
                yield (tuple(found.scale.tolist()), zero_point), _layer(tensor)

    def _weight(self, operator: Any) -> int | None:
        """Return the number of the tensor that holds a layer's weights; of others nothing."""
        if self._name(operator) not in _LAYERS:
            return None
        number = int(operator.inputs[1])
        return number if self._content(number) is not None else None

    def _num_ends(self, operator: Any) -> int:
        """Return how many columns of what a layer reads are ends of its range, which it ignores.

        (`slimline.targets.quantized_graph.span_range`; the converter pads bytes.)
        """
        name, source = self._makers.get(int(operator.inputs[0]), ("", 0))
        count = 0
        if self._name(operator) == "FULLY_CONNECTED" and name == "DEQUANTIZE":
            while self._makers.get(source, ("", 0))[0] == "PADV2":
                source, count = self._makers[source][1], count + 1
        return count

    @cached_property
    def _makers(self) -> dict[int, tuple[str, int]]:
        """What makes a value, and of what, by the number of its tensor."""
        return {
            int(each.outputs[0]): (self._name(each), int(each.inputs[0]))
            for each in self._graph.operators
            if len(each.inputs)
        }

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return self._operators[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def _kind(self, number: int) -> str:
        return self._types[self._tensor(number).type]

    def _tensor(self, number: int) -> Any:
        return self._graph.tensors[number]

    def _content(self, number: int) -> NDArray[np.uint8] | None:
        content: NDArray[np.uint8] | None = self._model.buffers[self._tensor(number).buffer].data
        return content

    def _values(self, number: int) -> NDArray[Any]:
        content = self._content(number)
        assert content is not None
        return content.view(_DTYPES[self._kind(number)])

    @cached_property
    def _operators(self) -> dict[int, str]:
        return _names(self._schema.BuiltinOperator)

    @cached_property
    def _types(self) -> dict[int, str]:
        return _names(self._schema.TensorType)


def _names(enumeration: type) -> dict[int, str]:
    return {each: name for name, each in vars(enumeration).items() if isinstance(each, int)}


def _layer(tensor: Any) -> str:
    """Return the name of the module that a tensor stems from, as in the network.

    A tensor is named by the classes and names of the modules around it, of each operator in it:
    `torchvision.models.resnet.ResNet/torch.nn.modules.conv.Conv2d_conv1;`.
    """
    modules = [each.split("/")[1:] for each in tensor.name.decode().split(";")]
    path = max(modules, key=len)
    return ".".join(each.rpartition(".")[2].lstrip("_").partition("_")[2] for each in path)
