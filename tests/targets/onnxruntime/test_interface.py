"""A file that takes raw pixels: the same bytes from there on, for each value of each channel."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from slimline.artifacts import model_interface
from slimline.data.preprocessing import Preprocessing
from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, interface, onnx_file, pixel_file, runtime
from slimline.targets.onnxruntime.passes import order

GREY = Preprocessing(16, 16, 1, (0.286,), (0.3529,))
COLOUR = Preprocessing(16, 16, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLASSES = ["boot", "bag", "coat"]
ARITHMETIC = {"Cast", "Sub", "Div"}


class Network(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(channels, 8, 3, padding=1), nn.Linear(8, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().mean([2, 3]))


def every_value(frame: Preprocessing) -> np.ndarray:
    """Return images that have all 256 values in each channel."""
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    shifted = [np.roll(values, each, axis=1) for each in range(frame.channels)]
    flipped = np.concatenate(shifted, axis=3)
    return np.concatenate([flipped, 255 - flipped, flipped[:, ::-1]])


def write(
    path: Path,
    frame: Preprocessing,
    *,
    float_layers: tuple[str, ...] = (),
    form: order.Form = "fastest",
) -> Path:
    network, example = Network(frame.channels).eval(), torch.zeros(2, frame.channels, 16, 16)
    prepared = qat.prepare(network, example, weight_bits=7, float_layers=float_layers)
    prepared(torch.from_numpy(frame.normalise(every_value(frame))))
    qat.finish(prepared)
    exporter.write(qat.convert(prepared), example, path, form=form, pad_channels=True)
    return path


def operators_of(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def answers(path: Path, frame: Preprocessing, *, optimised: bool = True) -> np.ndarray:
    session = runtime.load(path, num_threads=1, optimised=optimised)
    return runtime.run(session, frame.normalise(every_value(frame)))


@pytest.mark.parametrize("takes", ["uint8", "uint8_nhwc"])
@pytest.mark.parametrize(
    ("frame", "float_layers", "operators"),
    [
        (GREY, (), {}),
        (COLOUR, (), {"Cast": 1, "Sub": 1}),
        (COLOUR, ("conv",), {"Cast": 1, "Sub": 1, "Div": 2}),
    ],
    ids=["grey", "colour", "float stem"],
)
def test_pixels_give_the_same_logits(
    takes: str,
    frame: Preprocessing,
    float_layers: tuple[str, ...],
    operators: dict[str, int],
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "model.onnx", frame, float_layers=float_layers)
    expected = [answers(path, frame, optimised=optimised) for optimised in (False, True)]
    before, operators_before = onnx_file.inspect(path), operators_of(path)
    asked = model_interface.of(frame, takes=takes, answers="logits")
    interface.rewrite(path, asked.frame, answers="logits", metadata={})
    for logits, optimised in zip(expected, (False, True), strict=True):
        assert np.array_equal(answers(path, asked.frame, optimised=optimised), logits)
    added = operators_of(path) - operators_before
    assert {name: count for name, count in added.items() if name in ARITHMETIC} == operators
    after = pixel_file.inspect(path)
    assert (after.macs, after.int8_macs) == (before.macs, before.int8_macs)
    assert after.num_bytes == path.stat().st_size


def test_values_that_lie_near_a_tie_become_the_same_bytes(tmp_path: Path) -> None:
    """Steps of which the pixels are a power of two, so that float32 decides."""
    frame = Preprocessing(16, 16, 3, (0.5, 0.5, 0.5), (0.5, 0.25, 0.125))
    path = write(tmp_path / "model.onnx", frame)
    expected = answers(path, frame)
    raw = model_interface.of(frame, takes="uint8", answers="logits").frame
    interface.rewrite(path, raw, answers="logits", metadata={})
    assert np.array_equal(answers(path, raw), expected)


@pytest.mark.parametrize("takes", ["uint8", "uint8_nhwc"])
@pytest.mark.parametrize("frame", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_portable_file_has_pairs_of_one_scale(
    frame: Preprocessing, takes: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.onnx", frame, form="portable")
    expected = answers(path, frame)
    raw = model_interface.of(frame, takes=takes, answers="logits").frame
    interface.rewrite(path, raw, answers="logits", metadata={}, paired=True)
    assert np.array_equal(answers(path, raw), expected)
    graph = onnx.load(path).graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants:
            quantize = makers[node.input[0]]
            assert quantize.op_type == "QuantizeLinear"
            for own, other in zip(node.input[1:], quantize.input[1:], strict=True):
                assert np.array_equal(constants[own], constants[other])


def test_probabilities_are_the_softmax_and_metadata_says_what_the_file_is(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", GREY)
    logits, size = answers(path, GREY), path.stat().st_size
    metadata = interface.labelled(CLASSES, GREY, "0123456789abcdef0123")
    interface.rewrite(path, GREY, answers="probabilities", metadata=metadata)
    session = runtime.load(path, num_threads=1)
    assert session.get_outputs()[0].name == "probabilities"
    expected = torch.from_numpy(logits).softmax(1).numpy()
    assert np.abs(answers(path, GREY) - expected).max() < 1e-6
    assert session.get_modelmeta().custom_metadata_map == {
        "labels": "boot\nbag\ncoat",
        "mean": "0.286",
        "std": "0.3529",
        "settings": "0123456789abcdef",
    }
    assert path.stat().st_size < size + 200
    raw = model_interface.of(COLOUR, takes="uint8_nhwc", answers="logits").frame
    assert interface.labelled(CLASSES, raw, "0")["pixels"] == "nhwc"
