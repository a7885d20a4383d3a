"""A product that answers in bytes, for compilers that want a pair behind the logits as well."""

import copy
from dataclasses import replace
from pathlib import Path

import calibrated
import kinds
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from slimline import files
from slimline.artifacts import description, model_interface
from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.measure import softmax
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.quantization import int8_export, qat
from slimline.quantization.settings import Int8ExportParams
from slimline.targets.onnxruntime import interface
from slimline.targets.onnxruntime.passes.answer_pair import Steps
from slimline.targets.schemes import ActivationType

PLAIN = calibrated.EXPORT
ROUNDED = PLAIN.model_copy(update={"quantized_logits": True})
ZEROS = {"uint8": np.uint8, "int8": np.int8, "int8_symmetric": np.int8}


class Network(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(10 * self.conv(images).relu().mean([2, 3]))


@pytest.fixture(scope="module", params=kinds.KINDS)
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Split]:
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"), calibration_images=30)


def fake_quant(parts: dict[str, Split], activation_type: ActivationType = "uint8") -> Classifier:
    split = parts["calibration"]
    channels, classes = split.preprocessing.channels, len(split.classes)
    model = Classifier(
        Network(channels, classes).eval(),
        Architecture("any", classes, channels, 2, 3),
        split.classes,
        split.preprocessing,
    )
    prepared = qat.prepare(
        model.network, model.example, weight_bits=7, activation_type=activation_type
    )
    qat.calibrate(prepared, split, model)
    qat.finish(prepared)
    return model.with_network(prepared)


def save(
    target: Path, model: Classifier, parts: dict[str, Split], settings: Int8ExportParams
) -> Path:
    files.write_json(target.parent / description.DESCRIPTION, {})
    own = model.with_network(copy.deepcopy(model.network))
    int8_export.save(
        target,
        own,
        parts["validation"],
        settings,
        parent=target.parent,
        num_threads=1,
        calibration=parts["calibration"],
    )
    return target


def answers(folder: Path, split: Split) -> NDArray[np.float32]:
    frame = model_interface.read(folder).frame
    return description.deployable(folder).predict(split.images, frame, num_threads=1)


def pair(folder: Path) -> tuple[str, Steps]:
    """Return what reads the pair that is last in a file, and its steps."""
    graph = onnx.load(folder / description.ONNX).graph
    tensors = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    last = makers[graph.output[0].name]
    dequantize = makers[last.input[0]] if last.op_type == "Softmax" else last
    quantize = makers[dequantize.input[0]]
    assert (quantize.op_type, dequantize.op_type) == ("QuantizeLinear", "DequantizeLinear")
    assert quantize.input[1:] == dequantize.input[1:]
    scale, zero = (tensors[name] for name in quantize.input[1:])
    return last.op_type, Steps(scale[()], zero[()])


@pytest.mark.parametrize(
    ("form", "activation_type"),
    [
        ("fastest", "uint8"),
        pytest.param("fastest", "int8", marks=pytest.mark.slow),
        ("portable", "uint8"),
        pytest.param("portable", "int8_symmetric", marks=pytest.mark.slow),
    ],
)
def test_logits_are_rounded_by_half_a_step(
    form: str, activation_type: ActivationType, parts: dict[str, Split], tmp_path: Path
) -> None:
    model = fake_quant(parts, activation_type)
    plain, rounded = (
        save(tmp_path / name, model, parts, settings.model_copy(update={"form": form}))
        for name, settings in (("plain", PLAIN), ("rounded", ROUNDED))
    )
    _, steps = pair(rounded)
    assert steps.zero.dtype == ZEROS[activation_type]
    seen = answers(plain, parts["calibration"])
    if activation_type == "int8_symmetric":
        assert steps.zero == 0
        assert 127 * steps.scale == pytest.approx(np.abs(seen).max())
    else:
        assert 255 * steps.scale == pytest.approx(max(seen.max(), 0) - min(seen.min(), 0))
    before, after = (answers(each, parts["validation"]) for each in (plain, rounded))
    assert np.abs(after - steps.clip(before)).max() <= 0.51 * steps.scale
    levels = after / steps.scale
    assert np.abs(levels - levels.round()).max() < 1e-3
    told = description.read(rounded)["validation_top1"]
    assert told == pytest.approx(100 * (after.argmax(1) == parts["validation"].labels).mean())


@pytest.mark.parametrize("takes", ["float32", "uint8_nhwc"])
def test_a_softmax_reads_rounded_logits(
    takes: str, parts: dict[str, Split], tmp_path: Path
) -> None:
    model = fake_quant(parts)
    rounded = save(tmp_path / "rounded", model, parts, ROUNDED)
    settings = ROUNDED.model_copy(update={"input": takes, "answer": "probabilities"})
    shares = save(tmp_path / "shares", model, parts, settings)
    assert pair(shares) == ("Softmax", pair(rounded)[1])
    split = parts["validation"]
    expected = np.exp(softmax.log_shares(answers(rounded, split)))
    assert np.allclose(answers(shares, split), expected, rtol=0, atol=1e-5)


def test_a_file_that_is_rounded_otherwise_is_refused(
    parts: dict[str, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_logits = interface.round_logits

    def coarsely(path: Path, steps: Steps) -> None:
        round_logits(path, replace(steps, scale=2 * steps.scale))

    monkeypatch.setattr(interface, "round_logits", coarsely)
    with pytest.raises(ParityError, match="quantized_logits: false goes around it"):
        save(tmp_path / "rounded", fake_quant(parts), parts, ROUNDED)
    assert not (tmp_path / "rounded").exists()


def test_without_calibration_images_the_range_is_of_validation(
    parts: dict[str, Split], tmp_path: Path
) -> None:
    model, validation = fake_quant(parts), parts["validation"]
    files.write_json(tmp_path / description.DESCRIPTION, {})
    own = model.with_network(copy.deepcopy(model.network))
    int8_export.save(tmp_path / "rounded", own, validation, ROUNDED, parent=tmp_path, num_threads=1)
    seen = answers(save(tmp_path / "plain", model, parts, PLAIN), validation)
    reach = 255 * pair(tmp_path / "rounded")[1].scale
    assert reach == pytest.approx(max(seen.max(), 0) - min(seen.min(), 0))
