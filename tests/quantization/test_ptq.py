"""Quantization without training, by either quantizer, of a small untrained model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import kinds
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.errors import ArtifactError, ParamsError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.params import check
from slimline.quantization import mixed_record, onnxruntime_quantizers, ptq
from slimline.quantization.calibrators import Calibrator
from slimline.quantization.mixed_precision import NO_TABLES
from slimline.quantization.settings import Int8PtqParams
from slimline.targets.onnxruntime import onnx_file, to_onnx
from slimline.training.loop import Score
from slimline.training.settings import Selection

SETTINGS = {
    "quantizer": "onnxruntime",
    "activation_type": "uint8",
    "weight_bits": 7,
    "weights": "per_channel",
    "equalise": False,
    "mixed": {"float_layers": [], "max_drop": 100, "only_faster": False},
    "calibrator": "minmax",
}
MODEL = ModelParams(
    backbone="resnet8_w48", pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
)
SWISH = MODEL.model_copy(update={"backbone": "mobilenet_v3_small"})


@pytest.fixture(scope="module", params=kinds.KINDS)
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, split_files.Split]:
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"), calibration_images=50)


@pytest.fixture(scope="module")
def source(parts: dict[str, split_files.Split], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(parts, tmp_path_factory.mktemp("models"))


def saved_model(
    parts: dict[str, split_files.Split],
    parent: Path,
    *,
    is_alive: bool = True,
    settings: ModelParams = MODEL,
) -> Path:
    torch.manual_seed(0)
    folder = parent / "prune"
    model = classifier.build(settings, parts["train"], folder)
    if is_alive:
        for _ in range(3):  # else its activations vanish
            model.network(torch.rand(16, *model.example.shape[1:]))
    else:
        nearly_constant = model.network.get_submodule("bn1")
        torch.nn.init.constant_(nearly_constant.weight, 1e-7)
        torch.nn.init.ones_(nearly_constant.bias)
    model.network.eval()
    model_folder.save(folder, model, data=parts["train"], settings=settings)
    return folder


def saved(
    source: Path,
    parts: dict[str, split_files.Split],
    target: Path,
    *,
    by: Selection = "top1",
    **changes: Any,
) -> dict[Calibrator, Score]:
    settings = Int8PtqParams.model_validate(SETTINGS | changes)
    calibration, validation = parts["calibration"], parts["validation"]
    tables = replace(NO_TABLES, by=by)
    return ptq.save(target, source, calibration, validation, settings, tables, num_threads=1)


@pytest.fixture(scope="module")
def ours(
    source: Path, parts: dict[str, split_files.Split], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("ours") / "int8"
    saved(source, parts, folder, quantizer="slimline", calibrator="mse")
    return folder


@pytest.fixture(scope="module")
def peers(
    source: Path, parts: dict[str, split_files.Split], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("peers") / "int8"
    saved(source, parts, folder)
    return folder


@pytest.mark.parametrize(
    ("by", "chosen"), [("top1", "minmax"), ("mean_recall", "percentile"), ("loss", "entropy")]
)
def test_auto_takes_what_is_best_by_what_selects(
    by: Selection, chosen: Calibrator, source: Path, parts: dict[str, split_files.Split],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    scores = {"minmax": Score(90, 0.9, 50), "percentile": Score(80, 0.8, 60),
              "entropy": Score(70, 0.7, 55)}  # fmt: skip
    monkeypatch.setattr(ptq, "_write", lambda path, *_, **__: path.write_bytes(path.stem.encode()))
    monkeypatch.setattr(onnxruntime_quantizers, "score", lambda path, *_, **__: scores[path.stem])
    monkeypatch.setattr(onnxruntime_quantizers, "versions", lambda _: {})
    assert saved(source, parts, tmp_path / "auto", by=by, calibrator="auto") == scores
    assert (tmp_path / "auto" / description.ONNX).read_bytes() == chosen.encode()
    assert description.read(tmp_path / "auto")["validation_top1"] == scores[chosen].top1


def test_auto_takes_what_is_most_accurate_on_validation(
    source: Path, parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    tried = saved(source, parts, tmp_path / "auto", calibrator="auto")
    assert list(tried) == ["minmax", "percentile", "entropy"]
    chosen = max(tried, key=lambda name: tried[name].rank("top1"))
    assert saved(source, parts, tmp_path / "one", calibrator=chosen) == {chosen: tried[chosen]}
    files = [(tmp_path / name / description.ONNX).read_bytes() for name in ("auto", "one")]
    assert files[0] == files[1]
    told = description.read(tmp_path / "auto")["calibrators"]
    assert {name: each["top1"] for name, each in told.items()} == {
        name: round(each.top1, 6) for name, each in tried.items()
    }
    assert description.read(tmp_path / "one")["validation_top1"] == round(tried[chosen].top1, 6)
    assert "calibrators" not in description.read(tmp_path / "one")


@pytest.mark.slow  # tests/test_entries.py quantizes this network, trained, by the same quantizer
def test_ours_leaves_no_float(parts: dict[str, split_files.Split], tmp_path: Path) -> None:
    source, ours = saved_model(parts, tmp_path, settings=SWISH), tmp_path / "int8"
    saved(source, parts, ours, quantizer="slimline", calibrator="mse")
    path = ours / description.ONNX
    assert onnx_file.inspect(path).int8_share == 100
    assert not {"HardSwish", "HardSigmoid"} & {each.op_type for each in onnx.load(path).graph.node}
    assert sorted(each.name for each in ours.iterdir()) == ["model.json", "model.onnx"]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("made", ["source", "ours", "peers"])
def test_the_oldest_runtime_is_that_of_the_file(made: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(made)
    model = onnx.load(folder / description.ONNX)
    told = description.read(folder)
    assert (told["opset"], told["ir_version"]) == (18, model.ir_version)
    assert [each.version for each in model.opset_import if not each.domain] == [18]
    assert told["oldest_onnxruntime"] == "1.14"


@pytest.mark.parametrize("quantizer", ["slimline", "onnxruntime"])
def test_layers_stay_float_by_either_quantizer(
    quantizer: str, source: Path, parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    names = ["conv1", "layer1.0.conv1", "fc"]
    kept = {"float_layers": names, "max_drop": 100, "only_faster": False}
    saved(source, parts, tmp_path / "int8", quantizer=quantizer, mixed=kept)
    path = tmp_path / "int8" / description.ONNX
    nodes = list(onnx_file.weight_entries(path))
    in_float = [node for node in nodes if node not in onnx_file.executed_in_int8(path)]
    assert in_float == [nodes[0], nodes[1], nodes[-1]]
    told = {each.layer: each.reason for each in mixed_record.read(description.read(path.parent))}
    assert {name for name, reason in told.items() if reason == "named"} == set(names)


def test_what_a_peer_cannot_do_is_told_in_a_sentence(
    parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    source = saved_model(parts, tmp_path, is_alive=False)
    with pytest.raises(ArtifactError, match=r"set int8_ptq\.calibrator to minmax"):
        saved(source, parts, tmp_path / "int8", calibrator="percentile")
    assert not (tmp_path / "int8").exists()


@pytest.mark.parametrize("quantizer", ["slimline", "onnxruntime"])
def test_black_calibration_images_are_told_by_either_quantizer(
    quantizer: str, source: Path, parts: dict[str, split_files.Split],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    images = parts["calibration"].images[:4]
    few = {"labels": parts["calibration"].labels[:4]}
    plain = replace(parts["calibration"], images=images, **few)
    black = replace(plain, images=np.zeros_like(images))
    saved(source, parts | {"calibration": plain}, tmp_path / "plain", quantizer=quantizer)
    assert "all calibration images" not in capsys.readouterr().out
    saved(source, parts | {"calibration": black}, tmp_path / "black", quantizer=quantizer)
    told = capsys.readouterr().out
    assert "warning: 4 of 4 calibration images have one colour everywhere" in told
    is_one_number = black.preprocessing.channels == 1  # channels are normalised each for itself
    assert ("in all calibration images, of which no range can be found" in told) == is_one_number


@pytest.mark.parametrize("calibrator", ["percentile", "entropy"])
def test_calibration_images_may_be_any_number(
    calibrator: Calibrator, source: Path, parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    validation = parts["validation"]
    some = replace(validation, images=validation.images[:53], labels=validation.labels[:53])
    tried = saved(source, parts | {"calibration": some}, tmp_path / "int8", calibrator=calibrator)
    assert list(tried) == [calibrator]


def test_a_calibrator_of_the_other_quantizer_is_refused() -> None:
    with pytest.raises(
        ParamsError, match=r"minmax, percentile, entropy or auto with int8_ptq\.quantizer"
    ):
        check(SETTINGS | {"calibrator": "mse"}, Int8PtqParams, path=Path("params.yaml"))


class Twice(nn.Module):
    """Calls one layer twice, which has one name in the network and two nodes in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice, self.head = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 1), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.twice(torch.relu(self.twice(self.stem(images)))))
        return self.head(maps.mean((2, 3)))


def test_names_that_the_file_does_not_have_are_told_in_a_sentence(
    parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    network, split = Twice().eval(), parts["validation"]
    frame = replace(split.preprocessing, channels=1, mean=(0.5,), std=(0.5,))
    model = Classifier(network, Architecture("any", 10, 1, 2, 3), split.classes, frame)
    path = tmp_path / "model.onnx"
    to_onnx.write_onnx(network, model.example, path)
    with pytest.raises(ParamsError, match=r"set int8_ptq\.quantizer to slimline"):
        ptq._nodes(path, model, ["head"])
