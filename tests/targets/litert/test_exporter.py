"""What LiteRT's own converter writes and its own interpreter answers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_networks import (
    Answer,
    Bessel,
    Blocks,
    ConvolutionalAttention,
    Dead,
    Scaled,
    SharedKeys,
    Swish,
    Transformer,
    converted,
    with_fine_steps,
)
from torch import nn

from slimline.errors import ParityError, TargetError
from slimline.targets import quantized_graph
from slimline.targets.litert import exporter, hybrid_layers, installed, rewrites, runtime
from slimline.targets.quantized_graph import QUANTIZE

pytestmark = pytest.mark.skipif(
    not all(installed.versions().values()), reason="requirements-litert.lock is not installed"
)


@pytest.mark.parametrize("network", [Blocks, Dead, Scaled])
def test_a_file_answers_as_the_network(tmp_path: Path, network: Callable[[], nn.Module]) -> None:
    quantized, images = converted(network())
    path = tmp_path / runtime.FILE
    about = exporter.write(quantized, images, path)
    with torch.no_grad():
        expected = quantized(images).numpy()
    found = runtime.run(runtime.load(path, num_threads=1), images.numpy())
    assert np.abs(expected - found).max() < 0.02 * np.ptp(expected)
    assert about["not_delegated"] == []
    assert about["float_layers"] == []
    assert about["input"]["shape"] == [1, 8, 8, 3]
    assert about["input"]["dtype"] == "int8"
    assert about["output"]["name"] == "logits"
    content = path.read_bytes()
    exporter.write(quantized, images, path)
    assert path.read_bytes() == content


_FLOATS = torch.arange(32.0).reshape(1, 2, 4, 4) / 8


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize(
    "network",
    [
        SharedKeys(),
        SharedKeys(_FLOATS),
        SharedKeys(_FLOATS > 1),
        SharedKeys(is_causal=True),
        Transformer(_FLOATS > 1),
        ConvolutionalAttention(num_shared=2),
    ],
)
def test_attention_answers_as_the_network(
    tmp_path: Path, network: nn.Module, optimised: bool
) -> None:
    quantized, images = converted(network)
    path = tmp_path / runtime.FILE
    assert exporter.write(quantized, images, path)["float_layers"] == []
    with torch.no_grad():
        expected = quantized(images).numpy()
    found = runtime.run(runtime.load(path, num_threads=1, optimised=optimised), images.numpy())
    assert np.abs(expected - found).max() < 0.03 * np.ptp(expected)


@pytest.mark.parametrize("is_signed", [True, False])
def test_an_answer_has_the_steps_that_were_trained(tmp_path: Path, is_signed: bool) -> None:
    network, images = converted(Answer(is_signed=is_signed))
    fainter = images / 5  # of which no row has the ends of the range
    path = tmp_path / runtime.FILE
    exporter.write(network, images, path)
    with torch.no_grad():
        expected = network(fainter).numpy()
    found = runtime.run(runtime.load(path, num_threads=1), fainter.numpy())
    assert np.abs(expected - found).max() < 1e-5 * np.ptp(expected)
    counted = runtime.inspect(path)
    assert counted.weights == 4 * 192, "columns that stand for the ends are no weights"
    assert counted.params == counted.weights + 4


def test_what_a_network_pads_itself_is_counted(tmp_path: Path) -> None:
    wide = nn.Sequential(
        nn.Flatten(), nn.ReLU(), nn.ConstantPad1d((0, 1), 0.0), nn.Linear(193, 8), nn.ReLU(),
        nn.Linear(8, 3),
    )  # fmt: skip
    network, images = converted(wide)
    exporter.write(network, images, tmp_path / runtime.FILE)
    assert runtime.inspect(tmp_path / runtime.FILE).weights == 193 * 8 + 8 * 3


def test_logits_in_bytes_are_what_they_stand_for(tmp_path: Path) -> None:
    quantized, images = converted(Blocks())
    with torch.no_grad():
        expected = quantized(images).numpy()
    step = float(np.ptp(expected)) / 200
    quantized_graph.round_answer(quantized, step, torch.tensor(3, dtype=torch.int8))
    path = tmp_path / runtime.FILE
    about = exporter.write(quantized, images, path)
    assert about["output"]["dtype"] == "int8"
    assert about["output"]["zero_point"] == 3
    assert about["output"]["scale"] == pytest.approx(step, rel=1e-6)
    assert about["float_layers"] == about["not_delegated"] == []
    found = runtime.run(runtime.load(path, num_threads=1), images.numpy())
    assert found.dtype == np.float32
    assert np.abs(expected.clip(-131 * step, 124 * step) - found).max() < 0.02 * np.ptp(expected)


def test_a_hard_swish_of_far_finer_steps_runs_in_float(tmp_path: Path) -> None:
    quantized, images = converted(Swish())
    with_fine_steps(quantized, 200)
    path = tmp_path / runtime.FILE
    about = exporter.write(quantized, images, path)
    with torch.no_grad():
        expected = quantized(images).numpy()
    found = runtime.run(runtime.load(path, num_threads=1), images.numpy())
    assert np.abs(expected - found).max() < 0.02 * np.ptp(expected)
    assert "mul" in {each["operator"] for each in about["not_delegated"]}


def test_a_file_is_counted(tmp_path: Path) -> None:
    quantized, images = converted(Blocks())
    path = tmp_path / runtime.FILE
    assert exporter.write(quantized, images, path)["num_layers"] == 3
    found = runtime.inspect(path)
    weights = [8 * 3 * 3 * 3, 8 * 8, 8 * 4]
    assert found.weights == sum(weights)
    assert found.params == sum(weights) + 8 + 8 + 4
    assert found.macs == 64 * weights[0] + 64 * weights[1] + weights[2]
    assert found.int8_macs == found.macs
    assert found.num_bytes == path.stat().st_size


def test_ranges_that_were_not_trained_are_refused(tmp_path: Path) -> None:
    quantized, images = converted(Blocks())
    path = tmp_path / runtime.FILE
    exporter.write(quantized, images, path)
    weights = hybrid_layers.find(quantized)
    rewrites.rewrite(quantized, image="input", answer="logits")
    exporter._check_ranges(quantized, weights, path)
    for node in quantized.graph.nodes:
        if node.target is QUANTIZE and node.args[0].target is torch.ops.aten.relu.default:
            node.update_arg(1, 1.01 * node.args[1])
    with pytest.raises(ParityError, match="ranges of its own to values of stem"):
        exporter._check_ranges(quantized, weights, path)


def test_an_operator_that_litert_lacks_is_told(tmp_path: Path) -> None:
    quantized, images = converted(Bessel())
    with pytest.raises(TargetError, match=r"device_export@litert: .*bessel_j0.*; take litert from"):
        exporter.write(quantized, images, tmp_path / runtime.FILE)
