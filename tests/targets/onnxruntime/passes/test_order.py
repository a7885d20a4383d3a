"""The portable form: every operator between its pair, each byte with one meaning, same answers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, onnx_file, runtime

IMAGES = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class Network(nn.Module):
    """One of each: a grey stem, swish, gates, halves that are shuffled, pooling, an answer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(1, 12, 3, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.part, self.head = nn.Conv2d(6, 6, 1), nn.Linear(12, 10)

    def forward(self, images: Tensor) -> Tensor:
        first = functional.max_pool2d(self.stem(images).relu(), 2)
        wide = functional.hardswish(self.depthwise(first))
        pooled = functional.adaptive_avg_pool2d(wide, 1)
        wide = wide * functional.hardsigmoid(self.excite(self.squeeze(pooled).relu()))
        kept, read = (wide + first).chunk(2, dim=1)
        return self.head(torch.cat([kept, self.part(read)], dim=1).mean([2, 3]))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    prepared = qat.prepare(Network().eval(), IMAGES[:2], weight_bits=7)
    prepared(IMAGES)
    qat.finish(prepared)
    converted, folder = qat.convert(prepared), tmp_path_factory.mktemp("forms")
    found = {name: folder / f"{name}.onnx" for name in ("fastest", "portable")}
    for name, path in found.items():
        exporter.write(converted, IMAGES[:2], path, form=name, pad_channels=True)
    return found


def outside_of_pairs(graph: onnx.GraphProto) -> set[str]:
    """Return operators that read or write bytes."""
    kinds = {name: node.op_type for node in graph.node for name in node.output}
    constants = {each.name for each in graph.initializer}
    readers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    outputs = {each.name for each in graph.output}
    found = set()
    for node in graph.node:
        if node.op_type in {QUANTIZE, DEQUANTIZE}:
            continue
        given = {kinds.get(name, "") for name in node.input if name and name not in constants}
        taken = {kind for name in node.output for kind in readers.get(name, set())}
        is_fused = taken <= {"Relu", "Clip"} or given <= {"Conv"}
        is_answer = bool(set(node.output) & outputs)
        if not (given <= {DEQUANTIZE} or is_fused) or not (
            taken <= {QUANTIZE} or is_fused or is_answer
        ):
            found.add(node.op_type)
    return found


def test_every_operator_stands_between_its_pair(paths: dict[str, Path]) -> None:
    portable, fastest = (onnx.load(paths[name]).graph for name in ("portable", "fastest"))
    assert outside_of_pairs(portable) == set()
    assert outside_of_pairs(fastest) >= {"Concat", "Split", "Reshape", "Transpose"}


def test_each_byte_has_one_meaning(paths: dict[str, Path]) -> None:
    """And the scales and zero points, of biases too, are constants."""
    graph = onnx.load(paths["portable"]).graph
    tensors = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    meanings: dict[str, set[bytes]] = {}
    for node in graph.node:
        if node.op_type == DEQUANTIZE:
            scale, zero = (tensors[name].tobytes() for name in node.input[1:])
            meanings.setdefault(node.input[0], set()).add(scale + zero)
    assert {len(each) for each in meanings.values()} == {1}


@pytest.mark.parametrize("optimised", [False, True])
def test_the_answers_are_those_of_the_fastest(paths: dict[str, Path], optimised: bool) -> None:
    fastest, portable = (
        runtime.run(runtime.load(paths[name], num_threads=1, optimised=optimised), IMAGES.numpy())
        for name in ("fastest", "portable")
    )
    assert np.abs(fastest - portable).max() < 1e-5 * np.abs(fastest).max()


def test_onnxruntime_runs_its_layers_in_int8(paths: dict[str, Path]) -> None:
    assert onnx_file.inspect(paths["portable"]).int8_share == 100
