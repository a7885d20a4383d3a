"""What ONNX Runtime makes of a graph, and that the answers stay."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from slimline.core import export
from slimline.quantization import fusible, qat

IMAGES = torch.randn(8, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """A convolution, a mean, a linear answer."""

    def __init__(self, mean: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(4, 8, 3), nn.Linear(8, 3)
        self.mean = mean

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.mean(self.conv(images).relu()))


MEANS = {
    "mean": lambda images: images.mean([2, 3]),
    "mean_kept": lambda images: images.mean([2, 3], keepdim=True).flatten(1),
    "adaptive": lambda images: nn.functional.adaptive_avg_pool2d(images, 1).flatten(1),
}


def exported(mean: Callable[[Tensor], Tensor]) -> onnx.ModelProto:
    prepared = qat.prepare(Network(mean).eval(), torch.zeros(2, 4, 6, 6), weight_bits=7)
    prepared(IMAGES)
    return export.to_onnx(qat.convert(prepared), torch.zeros(2, 4, 6, 6))


def run(model: onnx.ModelProto, folder: str) -> tuple[Counter[str], np.ndarray]:
    """Return the operators that ONNX Runtime executes, and its answer."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = f"{folder}/optimized.onnx"
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    answer = session.run(None, {"input": IMAGES.numpy()})[0]
    graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node), answer


@pytest.mark.parametrize("name", MEANS)
def test_pool_and_answer_run_in_int8(name: str, tmp_path: str) -> None:
    model = exported(MEANS[name])
    _, expected = run(model, tmp_path)
    fusible.make_fusible(model)
    operators, answer = run(model, tmp_path)
    assert operators["QLinearGlobalAveragePool"] == operators["QGemm"] == 1
    assert operators["QLinearConv"] == 1
    assert operators["DequantizeLinear"] == operators["ReduceMean"] == operators["Gemm"] == 0
    assert np.allclose(answer, expected, atol=0.02 * np.abs(expected).max())


def test_a_mean_over_channels_is_left_alone() -> None:
    model = exported(lambda images: images.mean([1, 2]).repeat(1, 2))
    fusible.make_fusible(model)
    assert "GlobalAveragePool" not in {node.op_type for node in model.graph.node}


def test_a_float_network_is_left_alone() -> None:
    model = export.to_onnx(Network(MEANS["mean"]).eval(), torch.zeros(2, 4, 6, 6))
    before = model.SerializeToString(deterministic=True)
    fusible.make_fusible(model)
    assert model.SerializeToString(deterministic=True) == before
