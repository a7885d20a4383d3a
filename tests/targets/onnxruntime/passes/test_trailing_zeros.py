"""Zeros at the ends of weights: not in the file, the same kernels and bits."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import ort
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, onnx_file
from slimline.targets.onnxruntime.passes import opset_version, order, trailing_zeros
from slimline.targets.onnxruntime.releases import NEWEST_OPSET, OLDEST_OPSET, oldest_ir_version

IMAGES = torch.randn(8, 4, 12, 12, generator=torch.Generator().manual_seed(0))
WIDTH = 72


class Network(nn.Module):
    """An inverted bottleneck whose channels are padded from 72 to 80, and an answer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.expand, self.project = nn.Conv2d(4, WIDTH, 1), nn.Conv2d(WIDTH, 32, 1)
        self.depthwise = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.head = nn.Linear(32, 3)

    def forward(self, images: Tensor) -> Tensor:
        wide = self.depthwise(self.expand(images).relu()).relu()
        return self.head(self.project(wide).relu().mean([2, 3]))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The padded file, with all zeros in it and without."""
    prepared = qat.prepare(Network().eval(), IMAGES[:2], weight_bits=7)
    prepared(IMAGES)
    converted = qat.convert(prepared)
    folder = tmp_path_factory.mktemp("written")
    found = {name: folder / f"{name}.onnx" for name in ("trimmed", "whole")}
    exporter.write(converted, IMAGES[:2], found["trimmed"], pad_channels=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trailing_zeros, "leave_out", lambda _model: None)
        exporter.write(converted, IMAGES[:2], found["whole"], pad_channels=True)
    return found


def stored(path: Path) -> set[tuple[int, ...]]:
    graph = onnx.load(path).graph
    return {tuple(each.dims) for each in graph.initializer if len(each.dims) == 4}


def test_the_zeros_are_not_in_the_file(paths: dict[str, Path]) -> None:
    assert stored(paths["whole"]) == {(80, 4, 1, 1), (80, 1, 3, 3), (32, 80, 1, 1)}
    # The others have 32 and 72 zeros, fewer bytes than a node that appends them.
    assert stored(paths["trimmed"]) == {(80, 4, 1, 1), (80, 1, 3, 3), (32, 72, 1, 1)}
    assert paths["trimmed"].stat().st_size < paths["whole"].stat().st_size


def test_the_same_bits_and_kernels(paths: dict[str, Path], tmp_path: Path) -> None:
    trimmed, whole = (
        ort.run(onnx.load(paths[name]), IMAGES.numpy(), tmp_path) for name in ("trimmed", "whole")
    )
    assert np.array_equal(trimmed[1], whole[1])
    assert trimmed[0] == whole[0]
    assert "Pad" not in trimmed[0]


def test_the_same_counts_of_what_runs(paths: dict[str, Path]) -> None:
    trimmed, whole = (onnx_file.inspect(paths[name]) for name in ("trimmed", "whole"))
    assert trimmed.params == whole.params
    assert (trimmed.weights, trimmed.zeros) == (whole.weights, whole.zeros)
    assert (trimmed.macs, trimmed.int8_macs) == (whole.macs, whole.int8_macs)


def test_a_weight_of_zeros_alone_keeps_one(paths: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(paths["whole"])
    expected = ort.run(model, IMAGES.numpy(), tmp_path)[1]
    for tensor in model.graph.initializer:
        if tuple(tensor.dims) == (32, 80, 1, 1):
            tensor.CopyFrom(numpy_helper.from_array(np.zeros([32, 80, 1, 1], np.int8), tensor.name))
    empty = ort.run(model, IMAGES.numpy(), tmp_path)[1]
    assert not np.array_equal(empty, expected)
    model = order.apply(model, trailing_zeros.leave_out)
    read = {name for node in model.graph.node for name in node.input}
    used = {each.name: tuple(each.dims) for each in model.graph.initializer if each.name in read}
    assert (1, 1, 1, 1) in used.values()
    assert (32, 80, 1, 1) not in used.values()
    assert np.array_equal(ort.run(model, IMAGES.numpy(), tmp_path)[1], empty)


@pytest.mark.parametrize("opset", [OLDEST_OPSET, NEWEST_OPSET])
def test_zeros_are_appended_in_every_opset(
    opset: int, paths: dict[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(paths["trimmed"])
    expected = ort.run(model, IMAGES.numpy(), tmp_path)
    ir_version = oldest_ir_version(opset)
    rewrite = partial(opset_version.set_versions, opset=opset, ir_version=ir_version)
    found = ort.run(order.apply(model, rewrite), IMAGES.numpy(), tmp_path)
    assert found[0] == expected[0]
    assert np.array_equal(found[1], expected[1])
