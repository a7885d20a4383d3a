"""Attributes that say nothing: gone from the file, and nothing else is; so it is a small one."""

from pathlib import Path

import entries
import numpy as np
import onnx
import ort
import pytest
import torch
import toy
from onnx import helper
from torch import Tensor, nn

from slimline.artifacts import model_folder
from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.settings import ModelParams
from slimline.quantization import mixed_precision, ptq, qat
from slimline.quantization.settings import ALL_INT8, Int8PtqParams
from slimline.targets.onnxruntime import exporter, onnx_file
from slimline.targets.onnxruntime.passes import default_attributes, order

IMAGES = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Windows of the plain form and of others."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.plain = nn.Conv2d(3, 8, 1)
        self.other = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.pool, self.head = nn.MaxPool2d(3, stride=1), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        wide = self.wide(self.other(self.plain(images).relu()).relu())
        return self.head(self.pool(wide).mean([2, 3]))


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """The int8 model with all that the exporter spells out."""
    path = tmp_path_factory.mktemp("whole") / "model.onnx"
    prepared = qat.prepare(Network().eval(), IMAGES[:2], weight_bits=7)
    prepared(IMAGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default_attributes, "leave_out", lambda _model: None)
        exporter.write(qat.convert(prepared), IMAGES[:2], path)
    return onnx.load(path)


@pytest.fixture(scope="module")
def model(whole: onnx.ModelProto) -> onnx.ModelProto:
    return order.apply(whole, default_attributes.leave_out)


def test_what_is_said_is_said_for_a_reason(model: onnx.ModelProto) -> None:
    plain, other, wide = (each for each in model.graph.node if each.op_type == "Conv")
    assert attributes(plain) == {"kernel_shape": [1, 1]}
    assert attributes(other) == {
        "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "group": 8,
    }  # fmt: skip
    assert attributes(wide) == {
        "kernel_shape": [3, 3], "dilations": [2, 2], "pads": [2, 2, 2, 2],
    }  # fmt: skip
    (pool,) = (each for each in model.graph.node if each.op_type == "MaxPool")
    assert attributes(pool) == {"kernel_shape": [3, 3]}
    pairs = [each for each in model.graph.node if each.op_type.endswith("quantizeLinear")]
    ranks = {each.name: len(each.dims) for each in model.graph.initializer}
    ranks |= {each.output[0]: 1 for each in model.graph.node if each.op_type == "Mul"}
    assert all(("axis" in attributes(each)) == (ranks[each.input[1]] == 1) for each in pairs)


def test_the_same_bits_and_operators(
    whole: onnx.ModelProto, model: onnx.ModelProto, tmp_path: Path
) -> None:
    before, after = (ort.run(each, IMAGES.numpy(), tmp_path) for each in (whole, model))
    assert np.array_equal(before[1], after[1])
    assert before[0] == after[0]
    assert model.ByteSize() < whole.ByteSize()


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Split]:
    return toy.splits(tmp_path_factory.mktemp("raw"), validation_images=100, calibration_images=50)


@pytest.mark.slow  # tests/test_smoke.py compares the files of one network
@pytest.mark.parametrize("name", entries.ONE_PER_FAMILY)
def test_no_larger_than_a_file_of_onnxruntime(
    name: str, splits: dict[str, Split], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    settings = ModelParams(
        backbone=name, pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
    )
    model = classifier.build(settings, splits["train"], tmp_path)
    for _ in range(3):  # else its activations vanish
        model.network(torch.rand(16, 1, 28, 28))
    model.network.eval()
    model_folder.save(tmp_path / "prune", model, data=splits["train"], settings=settings)
    sizes = {}
    for quantizer in ("slimline", "onnxruntime"):
        ptq.save(
            tmp_path / quantizer,
            tmp_path / "prune",
            splits["calibration"],
            splits["validation"],
            Int8PtqParams(
                quantizer=quantizer, activation_type="uint8", weight_bits=7,
                weights="per_channel", equalise=False, mixed=ALL_INT8, calibrator="minmax",
            ),
            mixed_precision.NO_TABLES,
            num_threads=1,
        )  # fmt: skip
        sizes[quantizer] = onnx_file.inspect(tmp_path / quantizer / "model.onnx").num_bytes
    assert sizes["slimline"] <= sizes["onnxruntime"]
