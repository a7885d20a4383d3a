"""Biases: in steps that training knows of, in a form that every ONNX Runtime fuses."""

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
from slimline.targets.onnxruntime import exporter, runtime, to_onnx
from slimline.targets.onnxruntime.passes import int32_biases, order

IMAGES = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """A convolution and an answer; of both, the first channel has no weights."""

    def __init__(self, *, is_dead: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)
        if is_dead:
            for layer, bias in ((self.conv, 5.64), (self.head, -7.0)):
                layer.weight.data[0] = 0
                layer.bias.data[0] = bias

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().mean([2, 3]))


def quantized(path: Path, *, is_dead: bool, weights: str) -> np.ndarray:
    prepared = qat.prepare(
        Network(is_dead=is_dead).eval(), IMAGES[:2], weight_bits=7, weights=weights
    )
    prepared(IMAGES)
    qat.finish(prepared)
    expected = prepared(IMAGES).detach().numpy()
    exporter.write(qat.convert(prepared), IMAGES[:2], path)
    return expected


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("optimised", [False, True])
def test_dead_channels_answer_as_in_training(optimised: bool, weights: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    expected = quantized(path, is_dead=True, weights=weights)
    loaded = runtime.load(path, num_threads=1, optimised=optimised)
    assert np.abs(runtime.run(loaded, IMAGES.numpy()) - expected).max() < 0.1
    assert np.abs(expected[:, 0] + 7).max() < 0.01


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("is_dead", [False, True])
def test_steps_change_for_dead_channels_alone(is_dead: bool, weights: str) -> None:
    prepared = qat.prepare(
        Network(is_dead=is_dead).eval(), IMAGES[:2], weight_bits=7, weights=weights
    )
    prepared(IMAGES)
    model = to_onnx.to_onnx(qat.convert(prepared), IMAGES[:2])
    is_same = order.apply(model, int32_biases.make_room) == order.apply(model)
    assert is_same == (not is_dead or weights == "per_tensor")


class Gated(nn.Module):
    """A convolution whose hard-sigmoid becomes part of it, one beside it, an answer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.gate, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        gated = self.one(images).relu() * functional.hardsigmoid(self.gate(images))
        return self.head(gated.mean([2, 3]))


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_every_layer_is_in_the_form_that_all_releases_fuse(weights: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    quantized(path, is_dead=False, weights=weights)
    model = onnx.load(path)
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in {"Conv", "Gemm"}]
    assert len(layers) == 2
    for layer in layers:
        image, weight, bias = (makers[name] for name in layer.input)
        assert [image.op_type, weight.op_type, bias.op_type] == ["DequantizeLinear"] * 3
        assert constants[bias.input[0]].dtype == np.int32
        assert list(makers[bias.input[1]].input) == [image.input[1], weight.input[1]]
        assert len(bias.input) == 3, "the converter to .ort wants a zero point"
    executed = Counter(ort.run(model, IMAGES.numpy(), tmp_path)[0])
    assert executed["QLinearConv"] == executed["QGemm"] == 1
    assert not {"Conv", "Gemm", "Mul", "Sub", "DequantizeLinear"} & set(executed)


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_a_finished_network_has_the_biases_of_its_file(weights: str, tmp_path: Path) -> None:
    prepared = qat.prepare(Gated().eval(), IMAGES[:2], weight_bits=7, weights=weights)
    prepared(IMAGES)
    before = prepared.state_dict()["one.bias"].clone()
    qat.finish(prepared)
    finished = {key: each.clone() for key, each in prepared.state_dict().items()}
    assert not torch.equal(finished["one.bias"], before)
    assert torch.allclose(finished["one.bias"], before, atol=1e-3)
    qat.finish(prepared)
    assert all(torch.equal(each, finished[key]) for key, each in prepared.state_dict().items())
    path = tmp_path / "model.onnx"
    rounded = {"one": finished["one.bias"], "gate": finished["gate.bias"] / 6 + 0.5}
    exporter.write(qat.convert(prepared), IMAGES[:2], path)
    graph = onnx.load(path).graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    convs = [node for node in graph.node if node.op_type == "Conv"]
    for conv, expected in zip(convs, rounded.values(), strict=True):
        scales = [constants[makers[name].input[1]] for name in conv.input[:2]]
        integers = constants[makers[conv.input[2]].input[0]]
        in_steps = expected.double().numpy() / np.float64(scales[0] * scales[1])
        assert np.abs(in_steps - integers).max() < 0.1


def test_a_layer_that_stays_float_keeps_its_bias(tmp_path: Path) -> None:
    network = Gated().eval()
    prepared = qat.prepare(network, IMAGES[:2], weight_bits=7, float_layers=["head"])
    prepared(IMAGES)
    before = prepared.state_dict()["head.bias"].clone()
    qat.finish(prepared)
    assert torch.equal(prepared.state_dict()["head.bias"], before)
    path = tmp_path / "model.onnx"
    exporter.write(qat.convert(prepared), IMAGES[:2], path)
    (gemm,) = (node for node in onnx.load(path).graph.node if node.op_type == "Gemm")
    constants = {each.name: each for each in onnx.load(path).graph.initializer}
    assert constants[gemm.input[2]].data_type == onnx.TensorProto.FLOAT
