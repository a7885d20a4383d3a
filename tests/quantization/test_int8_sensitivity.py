from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toy

from slimline import params
from slimline.networks import classifier
from slimline.networks.settings import ModelParams
from slimline.quantization import int8_sensitivity, mixed_precision
from slimline.quantization.settings import QatFinetuneParams
from slimline.training import loop

IMAGES = 40


def test_each_layer_is_measured_alone_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    splits = toy.splits(tmp_path / "raw", calibration_images=50)
    settings = ModelParams(
        backbone="resnet8_w48", pretrained="none", stem_stride=2, stem_kernel=3,
        activation="keep",
    )  # fmt: skip
    model = classifier.build(settings, splits["train"], tmp_path)
    images = model.preprocessing.normalise(splits["train"].images[:100])
    for _ in range(30):  # so that answers differ from image to image
        model.network(torch.from_numpy(images))
    model.network.eval()
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    answers = loop.predict(model.network, splits["validation"], model.preprocessing).argmax(1)
    validation = replace(splits["validation"], labels=answers.numpy())
    monkeypatch.chdir(toy.ROOT)
    asked = params.load("qat_finetune", QatFinetuneParams)
    rows = int8_sensitivity.scan(model, splits["calibration"], validation, asked, images=IMAGES)
    assert [row.layer for row in rows] == list(mixed_precision.layers(model.network))
    assert {round(row.top1_alone + row.lost) for row in rows} == {100}, "its own answers are right"
    assert len({round(row.top1_without - row.regained, 3) for row in rows}) == 1
    assert any(row.lost > 0 for row in rows)
    wrong = [row.lost * IMAGES / 100 for row in rows]
    assert wrong == pytest.approx([round(each) for each in wrong], abs=0.001)
    after = model.network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
