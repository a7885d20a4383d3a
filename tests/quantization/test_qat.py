import copy
import math
from dataclasses import replace

import kinds
import pytest
import torch
import toy
from torch import nn
from torchao.quantization.pt2e import FakeQuantizeBase

from slimline.data.split_files import Split
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.quantization import qat
from slimline.quantization.settings import ALL_INT8, QatFinetuneParams
from slimline.training import loop
from slimline.training.settings import Distill, DistilledRecipe

RECIPE = DistilledRecipe(
    epochs=2, batch_size=30, optimizer="adamw", learning_rate=0.01, weight_decay=0.0,
    label_smoothing=0.0, validations=2, augment=toy.NO_AUGMENT, step=toy.PLAIN_STEP, balance="none",
    select_by="auto", num_workers=0,
    distill=Distill(weight=0.0, temperature=2.0, last=1.0),
)  # fmt: skip


@pytest.fixture(scope="module", params=kinds.KINDS)
def splits(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Split]:
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def trained(splits: dict[str, Split]) -> Classifier:
    """A tiny classifier that has learnt something in float."""
    torch.manual_seed(0)
    channels, classes = splits["train"].preprocessing.channels, len(splits["train"].classes)
    network = nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes),
    )  # fmt: skip
    frame = splits["train"].preprocessing
    network(torch.zeros(2, channels, frame.height, frame.width))  # how wide the last layer is
    loop.fit(
        network, splits["train"], splits["validation"], RECIPE,
        preprocessing=frame, seed=1, phase="float",
    )  # fmt: skip
    return Classifier(
        network, Architecture("any", classes, channels, 2, 3), splits["train"].classes, frame
    )


def finetuned(
    model: Classifier, splits: dict[str, Split], learning_rate: float, observe: float = 0.5
) -> tuple[nn.Module, list[loop.HistoryRow]]:
    recipe = RECIPE.model_copy(update={"epochs": 0.5, "learning_rate": learning_rate})
    settings = QatFinetuneParams(
        activation_type="uint8", weight_bits=7, weights="per_channel", calibrator="minmax",
        equalise=False, mixed=ALL_INT8, observe=observe, recipe=recipe,
    )  # fmt: skip
    parts = (splits[name] for name in ("train", "calibration", "validation"))
    quantized, fitted = qat.finetune(model, *parts, settings, seed=1)
    rows = fitted.rows
    return quantized.network, rows


@pytest.mark.parametrize("learning_rate", [0.003, 30.0])
def test_validation_never_ends_below_its_start(
    learning_rate: float,
    trained: Classifier,
    splits: dict[str, Split],
    capsys: pytest.CaptureFixture[str],
) -> None:
    network, rows = finetuned(trained, splits, learning_rate)
    steps = len(splits["train"]) // 60  # half an epoch of batches of 30
    assert [row.step for row in rows] == [0, round(steps / 2), steps]
    assert math.isnan(rows[0].train_loss)
    top1 = loop.top1(network, splits["validation"], trained.preprocessing)
    assert top1 == max(row.validation_top1 for row in rows)
    assert top1 > 50
    is_told = "qat: training gains nothing: top-1 on validation is" in capsys.readouterr().out
    assert is_told == (rows[0].validation_top1 == top1)


def test_training_that_ruins_is_undone(trained: Classifier, splits: dict[str, Split]) -> None:
    network, rows = finetuned(trained, splits, 30.0)
    assert rows[0].validation_top1 > max(row.validation_top1 for row in rows[1:]) + 10
    untrained = qat.prepare(trained.network, trained.example, weight_bits=7)
    qat.calibrate(untrained, splits["calibration"], trained)
    qat.finish(untrained)
    found, expected = network.state_dict(), untrained.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_images_that_are_scored_widen_no_range(
    trained: Classifier, splits: dict[str, Split]
) -> None:
    dark = {
        name: replace(splits[name], images=splits[name].images[:] // 2)
        for name in ("train", "calibration")
    }
    forgetful = trained.with_network(copy.deepcopy(trained.network))
    nn.init.normal_(forgetful.network[-1].weight, std=0.01)
    calibrated = qat.prepare(forgetful.network, forgetful.example, weight_bits=7)
    qat.calibrate(calibrated, dark["calibration"], forgetful)
    network, rows = finetuned(forgetful, splits | dark, 0.003, observe=1.0)
    assert max(row.validation_top1 for row in rows[1:]) > rows[0].validation_top1
    assert input_step(network) <= 1.001 * input_step(calibrated)


def input_step(network: nn.Module) -> float:
    scales = (value for name, value in network.named_buffers() if name.endswith(".scale"))
    return float(next(scale for scale in scales if scale.numel() == 1))


def observing(network: nn.Module) -> int:
    return sum(
        int(each.observer_enabled.item())
        for each in network.modules()
        if isinstance(each, FakeQuantizeBase)
    )


def test_ranges_are_frozen_however_few_steps_there_are() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()).eval()
    prepared = qat.prepare(network, torch.zeros(2, 1, 8, 8), weight_bits=7)
    after_step = qat._range_freezer(prepared, 0.2)
    assert observing(prepared) > 0
    after_step(1, 2)
    assert observing(prepared) == 0


def test_settings_say_what_training_goes_by() -> None:
    settings = QatFinetuneParams(
        activation_type="uint8", weight_bits=7, weights="per_channel", calibrator="minmax",
        equalise=False, mixed=ALL_INT8, observe=0.5, recipe=RECIPE,
    )  # fmt: skip
    assert qat.as_trained(settings).model_dump_json() == settings.model_dump_json()
    coarse = RECIPE.step.model_copy(update={"precision": "bfloat16", "compile": True})
    recipe = RECIPE.model_copy(update={"step": coarse})
    asked = settings.model_copy(update={"recipe": recipe})
    assert qat.as_trained(asked) == settings
