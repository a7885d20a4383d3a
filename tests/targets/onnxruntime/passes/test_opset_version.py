"""Other opsets and IR versions: the same bits as an answer, or a sentence that says why not."""

from functools import partial
from pathlib import Path

import entries
import numpy as np
import onnx
import ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from slimline.errors import ParamsError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, to_onnx
from slimline.targets.onnxruntime.passes import opset_version, order
from slimline.targets.onnxruntime.releases import NEWEST_OPSET, OLDEST_OPSET, oldest_ir_version

IMAGES = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """What changed its form between opsets: a split, reshapes, a resize, and reductions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.conv = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(8 * 16, 3)

    def forward(self, images: Tensor) -> Tensor:
        kept, read = functional.hardswish(self.stem(images)).chunk(2, dim=1)
        both = torch.cat([kept, self.conv(read)], dim=1)
        largest = both.amax((2, 3)).norm(dim=1, keepdim=True)
        both = functional.interpolate(both, scale_factor=2.0).mean(3)
        return self.head(both[:, :, ::2].flatten(1)) * largest


def written(network: nn.Module, path: Path, images: Tensor, **versions: int) -> onnx.ModelProto:
    prepared = qat.prepare(network.eval(), images[:2], weight_bits=7)
    prepared(images)
    exporter.write(qat.convert(prepared), images[:2], path, **versions)
    return onnx.load(path)


def in_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    ir_version = oldest_ir_version(opset)
    rewrite = partial(opset_version.set_versions, opset=opset, ir_version=ir_version)
    return order.apply(model, rewrite)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    return written(Network(), tmp_path_factory.mktemp("model") / "model.onnx", IMAGES)


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST_OPSET + 1))
def test_the_same_bits_and_operators(opset: int, model: onnx.ModelProto, tmp_path: Path) -> None:
    kinds = {node.op_type for node in model.graph.node}
    assert {"Split", "Reshape", "ReduceMean", "ReduceMax", "ReduceL2", "Resize"} <= kinds
    changed = in_opset(model, opset)
    assert [(each.domain, each.version) for each in changed.opset_import] == [("", opset)]
    assert changed.ir_version == oldest_ir_version(opset)
    expected, answer = (ort.run(each, IMAGES.numpy(), tmp_path) for each in (model, changed))
    assert np.array_equal(expected[1], answer[1])
    assert expected[0] == answer[0]


def test_what_is_asked_for_is_written(tmp_path: Path) -> None:
    model = written(Network(), tmp_path / "model.onnx", IMAGES, opset=15, ir_version=9)
    assert (model.opset_import[0].version, model.ir_version) == (15, 9)


def test_float_opset_is_the_default(model: onnx.ModelProto) -> None:
    assert (model.opset_import[0].version, model.ir_version) == (to_onnx.OPSET, 8)


def test_an_operator_that_does_not_exist_yet_is_named() -> None:
    graph = helper.make_graph(
        [helper.make_node("HardSwish", ["input"], ["logits"])],
        "swish",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.zeros(1, np.float32), "unused")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    with pytest.raises(
        ParamsError, match=r"opset 13 has no operator HardSwish.*must be 14 or more"
    ):
        in_opset(model, 13)


def test_an_attribute_that_does_not_exist_yet_is_named() -> None:
    resize = helper.make_node("Resize", ["input", "", "scales"], ["logits"], antialias=1)
    graph = helper.make_graph(
        [resize],
        "resize",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, 2, 2])],
        [numpy_helper.from_array(np.array([1, 1, 0.5, 0.5], np.float32), "scales")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    with pytest.raises(
        ParamsError, match=r"opset 17 has no operator Resize with antialias.*must be 18 or more"
    ):
        in_opset(model, 17)


@pytest.mark.slow
@pytest.mark.parametrize("name", entries.ONE_PER_FAMILY)
def test_every_family_in_the_oldest_and_newest(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = classifier.make(Architecture(name, 10, 1, 1, 3))
    images = torch.randn(8, 1, 28, 28)
    network(images)
    model = written(network, tmp_path / "model.onnx", images)
    expected = ort.run(model, images.numpy(), tmp_path)
    for opset in (OLDEST_OPSET, NEWEST_OPSET):
        executed, answer = ort.run(in_opset(model, opset), images.numpy(), tmp_path)
        assert np.array_equal(expected[1], answer)
        assert expected[0] == executed
