import itertools
from dataclasses import replace
from pathlib import Path

import kinds
import pytest
import torch
import toy

from slimline import params
from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.quantization import int8_sensitivity, mixed_precision
from slimline.quantization.settings import QatFinetuneParams
from slimline.training import loop

IMAGES = 40


@pytest.fixture(params=kinds.KINDS)
def splits(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Split]:
    return kinds.splits(request.param, tmp_path / "raw", calibration_images=50)


@pytest.fixture
def model(splits: dict[str, Split], tmp_path: Path) -> Classifier:
    torch.manual_seed(0)
    settings = ModelParams(
        backbone="resnet8_w48", pretrained="none", stem_stride=2, stem_kernel=3,
        activation="keep",
    )  # fmt: skip
    built = classifier.build(settings, splits["train"], tmp_path)
    images = built.preprocessing.normalise(splits["train"].images[:100])
    for _ in range(30):  # so that answers differ from image to image
        built.network(torch.from_numpy(images))
    built.network.eval()
    return built


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> QatFinetuneParams:
    monkeypatch.chdir(toy.ROOT)
    return params.load("qat_finetune", QatFinetuneParams)


def test_each_layer_is_measured_alone_and_left_out(
    model: Classifier, splits: dict[str, Split], asked: QatFinetuneParams
) -> None:
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    answers = loop.predict(model.network, splits["validation"], model.preprocessing).argmax(1)
    validation = replace(splits["validation"], labels=answers.numpy())
    rows = int8_sensitivity.scan(model, splits["calibration"], validation, asked, images=IMAGES)
    assert [row.layer for row in rows] == list(mixed_precision.layers(model))
    assert {round(row.top1_alone + row.lost) for row in rows} == {100}, "its own answers are right"
    assert len({round(row.top1_without - row.regained, 3) for row in rows}) == 1
    assert any(row.lost > 0 for row in rows)
    wrong = [row.lost * IMAGES / 100 for row in rows]
    assert wrong == pytest.approx([round(each) for each in wrong], abs=0.001)
    after = model.network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_points_of_mean_recall_are_told_too(
    model: Classifier, splits: dict[str, Split], asked: QatFinetuneParams,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    recalls = itertools.count(80, -1)  # float, int8; then each layer alone in int8, in float
    monkeypatch.setattr(loop, "measure", lambda *_: loop.Score(90.0, 0.3, next(recalls)))
    rows = int8_sensitivity.scan(
        model, splits["calibration"], splits["validation"], asked, images=IMAGES
    )
    assert [row.change_by("mean_recall") for row in rows[:2]] == [(2, -2), (4, -4)]
    assert {row.change_by("loss") for row in rows} == {(0, 0)}
