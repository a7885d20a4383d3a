"""Every choice of types and scales: still all in int8, still the answers of training."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import ort
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, runtime
from slimline.targets.onnxruntime.passes import order
from slimline.targets.schemes import ActivationType, WeightScales

IMAGES = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """One of each: convolution, gates, concatenation, sum, pooling, answer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.three = (nn.Conv2d(n, 8, 1) for n in (4, 8, 16))
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        first = functional.hardswish(self.one(images))
        second = first * functional.hardsigmoid(self.two(first))
        both = torch.cat([first, second], dim=1)
        return self.head((first + self.three(both)).relu().mean([2, 3]))


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("activation_type", ["uint8", "int8"])
def test_all_in_int8_with_the_answers_of_training(
    activation_type: ActivationType, weights: WeightScales, tmp_path: Path
) -> None:
    example, path = torch.zeros(2, 4, 8, 8), tmp_path / "model.onnx"
    prepared = qat.prepare(
        Network().eval(), example, weight_bits=7, activation_type=activation_type, weights=weights
    )
    prepared(IMAGES)
    qat.finish(prepared)
    expected = prepared(IMAGES).detach().numpy()
    exporter.write(qat.convert(prepared), example, path)
    as_written = runtime.run(runtime.load(path, num_threads=1, optimised=False), IMAGES.numpy())
    executed, answer = ort.run(
        onnx.load(path), IMAGES.numpy(), tmp_path, allow_int8=activation_type == "int8"
    )
    assert np.abs(as_written - expected).max() < 0.01 * np.abs(expected).max()
    assert np.abs(answer - expected).max() < 0.02 * np.abs(expected).max()
    operators = Counter(executed)
    assert (operators["QLinearConv"], operators["QGemm"], operators["QLinearAdd"]) == (3, 1, 1)
    assert not {"Conv", "Gemm", "MatMul", "Add", "HardSwish", "HardSigmoid"} & set(operators)


@pytest.mark.parametrize("form", ["fastest", "portable"])
def test_symmetric_activations_have_zero_points_of_0(form: order.Form, tmp_path: Path) -> None:
    example, path = torch.zeros(2, 4, 8, 8), tmp_path / "model.onnx"
    prepared = qat.prepare(
        Network().eval(), example, weight_bits=7, activation_type="int8_symmetric"
    )
    prepared(IMAGES)
    qat.finish(prepared)
    expected = prepared(IMAGES).detach().numpy()
    exporter.write(qat.convert(prepared), example, path, form=form)
    model = onnx.load(path)
    executed, answer = ort.run(model, IMAGES.numpy(), tmp_path, allow_int8=True)
    assert np.abs(answer - expected).max() < 0.02 * np.abs(expected).max()
    if form == "portable":
        tensors = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        pairs = [node for node in model.graph.node if node.op_type.endswith("eLinear")]
        zeros = [tensors[node.input[2]] for node in pairs if len(node.input) > 2]
        assert zeros
        assert all(not each.any() and each.dtype != np.uint8 for each in zeros)
    else:
        assert Counter(executed)["QLinearConv"] == 3


def test_types_and_scales_are_those_asked_for(tmp_path: Path) -> None:
    example, path = torch.zeros(2, 4, 8, 8), tmp_path / "model.onnx"
    prepared = qat.prepare(
        Network().eval(), example, weight_bits=8, activation_type="int8", weights="per_tensor"
    )
    prepared(IMAGES)
    exporter.write(qat.convert(prepared), example, path)
    graph = onnx.load(path).graph
    tensors = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    # The steps of a bias are a product that ONNX Runtime makes.
    ranges = [node for node in pairs if node.input[1] in tensors]
    biases = [tensors[node.input[0]] for node in pairs if node.input[1] not in tensors]
    assert {tensors[node.input[2]].dtype for node in ranges} == {np.dtype("int8")}
    assert {each.dtype for each in biases} == {np.dtype("int32")}
    assert all(tensors[node.input[1]].ndim == 0 for node in ranges)
    assert all(each.ndim == 1 for each in biases)
