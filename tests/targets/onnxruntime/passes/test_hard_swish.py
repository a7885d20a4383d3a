"""Gates in int8: what ONNX Runtime makes of them, and that the answers are those of training."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from slimline.quantization import observers, qat
from slimline.targets.onnxruntime import exporter, runtime, to_onnx
from slimline.targets.onnxruntime.passes import hard_swish, order

IMAGES = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Two convolutions and a gate, whose input reaches as far as `gain` lets it."""

    def __init__(self, body: Callable[[Tensor, nn.Module], Tensor], gain: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1)
        self.body = body
        with torch.no_grad():
            self.one.weight *= gain

    def forward(self, images: Tensor) -> Tensor:
        return self.body(self.one(images), self.two)


def squeeze(gate: Callable[[Tensor], Tensor]) -> Callable[[Tensor, nn.Module], Tensor]:
    def body(images: Tensor, two: nn.Module) -> Tensor:
        return images * gate(two(functional.adaptive_avg_pool2d(images, 1)))

    return body


BODIES: dict[str, tuple[Callable[[Tensor, nn.Module], Tensor], dict[str, int]]] = {
    "hard_swish": (lambda images, two: two(functional.hardswish(images)), {"QLinearMul": 1}),
    "hard_swish_after_add": (
        lambda images, two: functional.hardswish(images + two(images)),
        {"QLinearAdd": 1, "QLinearMul": 1},
    ),
    "hard_swish_beside_another_use": (
        lambda images, two: functional.hardswish(images) + two(images),
        {"QLinearMul": 1, "QLinearAdd": 1},
    ),
    "hard_sigmoid": (lambda images, two: two(functional.hardsigmoid(images)), {}),
    "hard_sigmoid_after_add": (
        lambda images, two: functional.hardsigmoid(images + two(images)),
        {"QLinearAdd": 2},
    ),
    "sigmoid": (lambda images, two: two(images.sigmoid()), {"QLinearSigmoid": 1}),
    "silu": (
        lambda images, two: two(functional.silu(images)),
        {"QLinearSigmoid": 1, "QLinearMul": 1},
    ),
    "squeeze_excitation_hard": (
        squeeze(functional.hardsigmoid),
        {"QLinearGlobalAveragePool": 1, "QLinearMul": 1},
    ),
    "squeeze_excitation": (
        squeeze(torch.sigmoid),
        {"QLinearGlobalAveragePool": 1, "QLinearSigmoid": 1, "QLinearMul": 1},
    ),
}


def written(network: nn.Module, target: Path) -> np.ndarray:
    """Write a network quantized on IMAGES, and return what fake-quant answers."""
    prepared = qat.prepare(network.eval(), torch.zeros(2, 4, 8, 8), weight_bits=7)
    for _ in range(3):
        prepared(IMAGES)
    qat.finish(prepared)
    expected = prepared(IMAGES).detach().numpy()
    exporter.write(qat.convert(prepared), torch.zeros(2, 4, 8, 8), target)
    return expected


@pytest.mark.parametrize("gain", [1, 7])
@pytest.mark.parametrize("name", BODIES)
def test_no_float_is_left_and_the_answers_are_those_of_training(
    name: str, gain: float, tmp_path: Path
) -> None:
    body, expected_operators = BODIES[name]
    path = tmp_path / "model.onnx"
    expected = written(Network(body, gain), path)
    as_written = runtime.run(runtime.load(path, num_threads=1, optimised=False), IMAGES.numpy())
    executed, answer = ort.run(onnx.load(path), IMAGES.numpy(), tmp_path)
    operators = Counter(executed)
    step = (expected.max() - expected.min()) / 255
    assert (np.abs(as_written - expected) < step / 2).mean() > 0.999
    assert np.abs(as_written - expected).max() < 1.01 * step
    assert (np.abs(answer - expected) < 1.01 * step).mean() > 0.99
    in_bytes = {"QuantizeLinear", "DequantizeLinear", "Transpose", "Clip"}
    kept = {key: operators[key] for key in set(operators) - in_bytes}
    assert kept == expected_operators | {"QLinearConv": 2}
    assert operators["QuantizeLinear"] == operators["DequantizeLinear"] == 1


@pytest.mark.parametrize(
    ("largest", "steps"),
    [(-1.0, 254), (0.0, 254), (3.0, 127), (6.0, 84), (22.4, 30), (759.0, 1), (9999.0, 1)],
)
def test_a_range_for_hard_swish_alone_begins_at_minus_three(largest: float, steps: int) -> None:
    observer = observers.OnlySwishObserver(dtype=torch.uint8, quant_min=0, quant_max=255)
    observer(torch.tensor([-500.0, largest]))
    scale, zero_point = observer.calculate_qparams()
    assert (scale.item(), zero_point.item()) == (pytest.approx(3 / steps), steps)
    assert (255 - steps) * scale.item() >= min(largest, 762)


@pytest.mark.parametrize(
    ("smallest", "largest", "steps", "zero_point"),
    [(-1.0, 3.0, 127, 127), (-6.0, 3.0, 84, 168), (-9.9, -0.1, 76, 251), (-8e3, 8e3, 1, 255)],
)
def test_a_range_for_others_too_covers_all(
    smallest: float, largest: float, steps: int, zero_point: int
) -> None:
    observer = observers.SwishObserver(dtype=torch.int8, quant_min=-128, quant_max=127)
    observer(torch.tensor([smallest, largest]))
    found = observer.calculate_qparams()
    assert found[0].item() == pytest.approx(3 / steps)
    assert found[1].item() == zero_point - 128


def test_float_gates_are_left_alone(tmp_path: Path) -> None:
    network = Network(lambda images, two: functional.hardswish(images) + two(images).sigmoid(), 1)
    path = tmp_path / "float.onnx"
    to_onnx.write_onnx(network.eval(), IMAGES[:2], path)
    model = onnx.load(path)
    assert order.apply(model, hard_swish.to_integers) == order.apply(model)
