"""The setting that most people know: published weights, everything frozen, a new head trained."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from torch import nn

from slimline import params
from slimline.__main__ import main
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks import backbones, classifier, pretrained
from slimline.networks.architecture import Architecture, Backbone
from slimline.networks.classifier import Classifier
from slimline.training import backbone_swap
from slimline.training.backbone_swap import BackboneSwapParams

EXAMPLE = toy.ROOT / "examples" / "head_only.params.yaml"
CLASSES = ("dark", "light")
FRAME = Preprocessing(64, 64, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def photos(count: int, seed: int) -> Split:
    """Colour photos of 64 pixels, dark ones and light ones."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    noise = generator.integers(0, 128, (count, 64, 64, 3), np.uint8)
    images = noise + 127 * labels.astype(np.uint8)[:, None, None, None]
    return Split(images, labels, CLASSES, FRAME)


class TwoHeads(nn.Module):
    """Answers with the mean of two, as DeiT does."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.head, self.other = nn.Linear(8, num_classes), nn.Linear(8, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv(images).relu().mean((2, 3))
        return (self.head(x) + self.other(x)) / 2


def test_a_second_head_is_trained_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "own.two:build"
    entry = Backbone(TwoHeads, "conv", "other.", (), None, is_found=True, trunk=("conv",))
    monkeypatch.setattr(backbones, "find", lambda _: entry)
    network = TwoHeads(2)
    account = pretrained.adopt(
        network, TwoHeads(1000).state_dict(), source="", stems=["conv"], head="other."
    )
    assert set(account.random) == {"head.weight", "head.bias", "other.weight", "other.bias"}
    model = Classifier(network, Architecture(name, 2, 3, 2, 3), CLASSES, FRAME)
    model = replace(model, pretrained=account.to_dict())
    monkeypatch.setattr(backbone_swap, "begin", lambda *_: model)
    before = copy.deepcopy(network.state_dict())
    settings = params.load("backbone_swap", BackboneSwapParams)
    recipe = {"epochs": 1, "batch_size": 8}
    settings = settings.model_copy(
        update={
            "backbone": name,
            "unfreeze": 0,
            "frozen": settings.frozen.model_copy(update=recipe),
            "unfrozen": settings.unfrozen.model_copy(update={**recipe, "epochs": 0}),
        }
    )
    backbone_swap.swap(
        model, photos(32, seed=0), photos(16, seed=1), settings, weights_folder=tmp_path, seed=1
    )
    after = network.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == set(account.random)


def test_every_tensor_of_the_backbone_is_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(toy.ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    quick = ("backbone_swap.frozen.batch_size=8", "backbone_swap.frozen.learning_rate=0.03")
    assert main(["apply", str(EXAMPLE), *quick]) == 0
    settings = params.load("backbone_swap", BackboneSwapParams)
    train, validation = photos(32, seed=0), photos(16, seed=1)
    torch.manual_seed(0)
    teacher = classifier.build(settings, train, tmp_path)
    model, fitted, phases = backbone_swap.swap(
        teacher, train, validation, settings, weights_folder=tmp_path, seed=1
    )

    published = pretrained.load(backbones.find(settings.backbone).imagenet)
    trained = model.network.state_dict()
    backbone = [name for name in trained if not name.startswith(model.head)]
    assert len(backbone) > 200
    assert [name for name in backbone if not torch.equal(trained[name], published[name])] == []
    head = [name for name in trained if name.startswith(model.head)]
    begun = teacher.network.state_dict()
    assert [name for name in head if torch.equal(trained[name], begun[name])] == []
    assert [phase.name for phase in phases] == ["frozen"]
    assert fitted.rows[-1].validation_top1 > 90
