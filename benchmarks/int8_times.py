"""What does int8 gain in each layer? Writes the table that `mixed.only_faster` goes by.

    python -m benchmarks.int8_times
    python -m benchmarks.int8_times --host ssh:pi

measures the layers of models/prune (`dvc repro prune`) and writes data/int8_times.json, which is
kept in git: run it again on the CPU that the product is for, or let that be asked over ssh (as by
`python -m slimline benchmark`), or after something else was pruned.

Each layer becomes two small models as it would stand in an int8 network: bytes come in and go out,
channels last, and between them the layer computes in int8, or in float with all that turns bytes
into floats and back. The image comes in as floats, and so go out the logits. All run on one thread
in turns; what a run costs that does nothing is taken off.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from slimline import params, processor
from slimline.artifacts import model_folder
from slimline.errors import SlimlineError
from slimline.measure import over_ssh
from slimline.networks.classifier import Classifier
from slimline.quantization import folded_modules, int8_times, mixed_precision
from slimline.quantization.int8_times import Int8Times, Time
from slimline.targets.onnxruntime import to_onnx
from slimline.targets.onnxruntime.passes import grey_stem, int32_biases, lone_float_layers, order
from slimline.training import determinism

SOURCE, TARGET = Path("models/prune"), Path("data/int8_times.json")

_STEP, _ZERO = np.float32(0.02), np.uint8(120)
"""Of the bytes; any do."""
_LARGEST = 63
"""Of a weight in 7 bits."""
_IR_VERSION = 10
_CHANNELS_FIRST, _CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def main() -> None:
    """Write the table, and print which layers gain nothing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="turns of every layer")
    parser.add_argument("--runs", type=int, default=50, help="runs per turn")
    parser.add_argument("--host", metavar="ssh:NAME", type=over_ssh.host_name, help="if not here")
    given = parser.parse_args()
    determinism.start(params.load_run())
    model = model_folder.load(SOURCE)
    weights, pairs = mixed_precision.layers(model), _pairs(model)
    timed = [_Timed(_nothing()), *(_Timed(each) for pair in pairs for each in pair)]
    if given.host:
        cpu, (nothing, *found) = _over_ssh(given.host, timed, given.rounds, given.runs)
    else:
        cpu, (nothing, *found) = processor.cpu().model, _here(timed, given.rounds, given.runs)
    own = [max(0.0, each - nothing) for each in found]
    layers = {
        name: Time(weights[name], in_float, in_int8)
        for name, in_float, in_int8 in zip(weights, own[::2], own[1::2], strict=True)
    }
    int8_times.write(TARGET, Int8Times(cpu, model.example.shape[1:], layers))
    slower = [name for name, each in layers.items() if not each.is_gain]
    print(f"{len(slower)} of {len(layers)} layers gain nothing by int8: {', '.join(slower)}")


def _here(timed: Sequence["_Timed"], rounds: int, runs: int) -> list[float]:
    """Return the microseconds of each model."""
    for _ in range(rounds):
        for each in timed:
            each.take_turn(runs)
    return [each.microseconds for each in timed]


def _over_ssh(
    host: str, timed: Sequence["_Timed"], rounds: int, runs: int
) -> tuple[str, list[float]]:
    """Return the other machine's CPU, and the microseconds that each model takes there."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.onnx" for number in range(len(timed))]
        for path, each in zip(paths, timed, strict=True):
            path.write_bytes(each.content)
        models = {path.name: (path, each.image) for path, each in zip(paths, timed, strict=True)}
        found = over_ssh.measure(host, models, blocks=rounds, runs=runs, memory=False)
    blocks = (np.median(found.milliseconds[path.name], axis=1) for path in paths)
    return found.cpu, [1000 * float(np.median(each)) for each in blocks]


def _pairs(model: Classifier) -> list[list[onnx.ModelProto]]:
    """Return each layer as a model in float and one in int8, in the order of the network."""
    network = folded_modules.fold(model.network)
    names = list(mixed_precision.layers(model))
    shapes: dict[str, Sequence[int]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(_: nn.Module, given: tuple[Tensor], __: Tensor) -> None:
            shapes[name] = given[0].shape

        return hook

    for name in names:
        network.get_submodule(name).register_forward_hook(note(name))
    with torch.no_grad():
        network(model.example[:1])
    first, last = names[0], names[-1]
    return [
        [
            _Small(network.get_submodule(name), is_int8=is_int8).between(
                shapes[name], is_first=name == first, is_last=name == last
            )
            for is_int8 in (False, True)
        ]
        for name in names
    ]


class _Small:
    """A model of one layer."""

    def __init__(self, layer: nn.Module, *, is_int8: bool) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        self._layer, self._is_int8 = layer, is_int8
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any] | np.generic] = {"step": _STEP, "zero": _ZERO}

    def between(self, shape: Sequence[int], *, is_first: bool, is_last: bool) -> onnx.ModelProto:
        """Return it with neighbours in int8, or none: `shape` is that of its input, one image."""
        is_image = isinstance(self._layer, nn.Conv2d)
        value = "input"
        if is_first:
            given = TensorProto.FLOAT
            if self._is_int8:
                value = self._add("DequantizeLinear", self._bytes(value), "step", "zero")
        else:
            given = TensorProto.UINT8
            if is_image:
                shape = [shape[each] for each in _CHANNELS_LAST]
                value = self._add("Transpose", value, perm=_CHANNELS_FIRST)
            value = self._add("DequantizeLinear", value, "step", "zero")
        value = self._compute(value)
        if not is_last:
            value = self._bytes(value)
            value = self._add("Transpose", value, perm=_CHANNELS_LAST) if is_image else value
        return self._finished(
            value, given, shape, TensorProto.FLOAT if is_last else TensorProto.UINT8
        )

    def _compute(self, value: str) -> str:
        layer = self._layer
        bias = layer.bias if layer.bias is not None else torch.zeros(len(layer.weight))
        self._constants["bias"] = bias.detach().numpy()
        inputs = [value, self._weight(layer.weight.detach().numpy()), "bias"]
        if isinstance(layer, nn.Linear):
            return self._add("Gemm", *inputs, transB=1)
        assert isinstance(layer.padding, tuple)
        return self._add(
            "Conv",
            *inputs,
            strides=list(layer.stride),
            pads=[*layer.padding, *layer.padding],
            dilations=list(layer.dilation),
            group=layer.groups,
        )

    def _weight(self, weight: NDArray[np.float32]) -> str:
        if not self._is_int8:
            self._constants["weight"] = weight
            return "weight"
        largest = np.abs(weight.reshape(len(weight), -1)).max(1)
        steps = (np.maximum(largest, 1e-6) / _LARGEST).astype(np.float32)
        rounded = np.round(weight / steps.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.int8)
        zeros = np.zeros(len(weight), np.int8)
        self._constants |= {"weight": rounded, "steps": steps, "zeros": zeros}
        return self._add("DequantizeLinear", "weight", "steps", "zeros", axis=0)

    def _bytes(self, value: str) -> str:
        return self._add("QuantizeLinear", value, "step", "zero")

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _finished(self, value: str, given: int, shape: Sequence[int], made: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "layer",
            [helper.make_tensor_value_info("input", given, list(shape))],
            [helper.make_tensor_value_info(value, made, None)],
            [
                numpy_helper.from_array(np.asarray(each), name)
                for name, each in self._constants.items()
            ],
        )
        for_int8 = [grey_stem.widen, int32_biases.quantize] if self._is_int8 else []
        return order.apply(_model(graph), lone_float_layers.keep_float, *for_int8)


def _nothing() -> onnx.ModelProto:
    """Return a model that hands on one byte."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1]) for name in ("input", "out")
    ]
    return _model(
        helper.make_graph(
            [helper.make_node("Identity", ["input"], ["out"])], "nothing", ends[:1], ends[1:]
        )
    )


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", to_onnx.OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


class _Timed:
    """A model in its turns."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.content = model.SerializeToString()
        self._session = onnxruntime.InferenceSession(
            self.content, options, providers=["CPUExecutionProvider"]
        )
        (given,) = self._session.get_inputs()
        kind = np.float32 if given.type == "tensor(float)" else np.uint8
        self.image: NDArray[Any] = np.ones(given.shape, kind)
        """A batch of one."""
        self._given = {given.name: self.image}
        self._turns: list[float] = []

    def take_turn(self, runs: int) -> None:
        """Run so many times; what counts of a turn is the median."""
        times = []
        for _ in range(runs):
            start = perf_counter()
            self._session.run(None, self._given)
            times.append(perf_counter() - start)
        self._turns.append(1e6 * float(np.median(times)))

    @property
    def microseconds(self) -> float:
        """The median of all turns."""
        return float(np.median(self._turns))


if __name__ == "__main__":
    try:
        main()
    except SlimlineError as mistake:
        sys.exit(str(mistake))
