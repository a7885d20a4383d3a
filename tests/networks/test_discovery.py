"""A network may say its first convolution, its head and its stages; what it says is checked."""

from pathlib import Path
from typing import Any

import pytest
import torch

from slimline import files
from slimline.data.split_files import Split
from slimline.doctor import network as doctor
from slimline.errors import NetworkError
from slimline.networks import backbones, classifier
from slimline.networks.architecture import Architecture
from slimline.networks.settings import ModelParams
from slimline.training import backbone_swap

NAME = "own.mine:build"

GATED = """
import torch
from torch import nn


class Mine(nn.Module):
    pretrained_cfg = {said}

    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.gate = nn.Conv2d(in_channels, in_channels, 1)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(),
            nn.Conv2d(12, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, num_classes))
        self.other = nn.Linear(16, num_classes)
        self.unused = nn.Linear(16, num_classes)

    def forward(self, images):
        gate = torch.sigmoid(self.gate(images.mean((2, 3), keepdim=True)))
        found = self.features(images * gate).mean((2, 3))
        answer = self.head(found)
        self.seen = self.other(found)
        return answer


def build(num_classes, in_channels):
    return Mine(num_classes, in_channels)
"""

SAID = {"first_conv": "features.0", "classifier": "head", "stages": ["features.3", "features.6"]}

PATCHES = """
from torch import nn
from torch.nn import functional


class Mine(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.embed = nn.Linear(16 * in_channels, 24)
        self.block = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 24), nn.GELU())
        self.head = nn.Linear(24, num_classes)

    def forward(self, images):
        tokens = self.embed(functional.unfold(images, 4, stride=4).transpose(1, 2))
        return self.head((tokens + self.block(tokens)).mean(1))


def build(num_classes, in_channels):
    return Mine(num_classes, in_channels)
"""

PARAMETER = """
import torch
from torch import nn
from torch.nn import functional


class Mine(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))
        self.order = nn.Parameter(torch.arange(3), requires_grad=False)
        self.prototypes = nn.Parameter(torch.randn(num_classes, 16))
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        )
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images):
        found = self.body(images).mean((2, 3))
        return {answer}


def build(num_classes, in_channels):
    return Mine(num_classes, in_channels)
"""

COSINE = "self.temperature * functional.linear(found, functional.normalize(self.prototypes))"

FOLDED = """
from torch import nn


def build(num_classes, in_channels):
    return nn.Sequential(
        nn.PixelUnshuffle(2), nn.Conv2d(4 * in_channels, 8, 3), nn.Conv2d(8, 8, 3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes),
    )
"""


def gated(said: object) -> str:
    return GATED.replace("{said}", repr(said))


def settings(pretrained: str = "none", **stem: Any) -> ModelParams:
    kept = {"stem_stride": "keep", "stem_kernel": "keep"} | stem
    return ModelParams(backbone=NAME, pretrained=pretrained, activation="keep", **kept)


def trained(model: classifier.Classifier, unfreeze: int) -> set[str]:
    backbone_swap.freeze(model.network, NAME, unfreeze)
    return {
        name.rpartition(".")[0]
        for name, each in model.network.named_parameters()
        if each.requires_grad
    }


def test_what_is_said_wins(mine: Path, split: Split) -> None:
    mine.write_text(gated(SAID))
    entry = backbones.find(NAME)
    assert (entry.stem, entry.head) == ("features.0", "head.")
    assert entry.stages == ("features.3", "features.6")
    model = classifier.build(settings(stem_stride=1, stem_kernel=5), split, Path())
    assert model.network.get_submodule("gate").kernel_size == (1, 1)
    stem = model.network.get_submodule("features.0")
    assert (stem.in_channels, stem.stride, stem.kernel_size) == (1, (1, 1), (5, 5))
    head, last = {"head.0", "head.2"}, {"features.6", "features.7"}
    assert trained(model, 0) == head
    assert trained(model, 1) == head | last
    assert trained(model, 2) == head | last | {"features.3", "features.4"}


def test_what_is_not_said_is_found(mine: Path) -> None:
    text = gated({"first_conv": "features.0", "classifier": ("other", "head.2")})
    mine.write_text(text.replace("return answer", "return answer + self.seen"))
    entry = backbones.find(NAME)
    assert (entry.stem, entry.head) == ("features.0", "other.")
    assert entry.stages == ("features.3", "features.6", "head")


@pytest.mark.parametrize(
    ("answer", "classifying"),
    [
        (COSINE, {"temperature", "prototypes"}),
        ("found @ self.prototypes.T", {"prototypes"}),
        ("self.fc(found) * self.temperature", {"temperature", "fc.weight", "fc.bias"}),
        ("self.fc(found)", {"fc.weight", "fc.bias"}),
    ],
)
def test_what_is_read_behind_the_last_layer_is_trained_with_the_head(
    answer: str, classifying: set[str], mine: Path, split: Split
) -> None:
    mine.write_text(PARAMETER.replace("{answer}", answer))
    model = classifier.build(settings(), split, Path())
    for unfreeze in (0, 1):
        backbone_swap.freeze(model.network, NAME, unfreeze)
        weights = model.network.named_parameters()
        found = {name for name, each in weights if each.requires_grad}
        assert found >= classifying
        assert (found == classifying) == (unfreeze == 0)


def test_a_second_head_that_is_called_last_is_none_unless_it_is_said(mine: Path) -> None:
    mine.write_text(gated(None))
    with pytest.raises(
        NetworkError,
        match=r"own/mine\.py: the answer does not depend on other, .*"
        r'pretrained_cfg = \{"classifier": "name\.of\.the\.layer"\}',
    ):
        backbones.find(NAME)


def test_doctor_goes_by_what_is_said(mine: Path, tmp_path: Path) -> None:
    mine.write_text(gated(SAID))
    (found,) = doctor.examine(NAME, tmp_path, size=32, channels=3, num_classes=3, steps=["builds"])
    assert "stem features.0, head head, 2 stages" in found.told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"first_conv": "stem"},
         r"first_conv: must name an nn\.Conv2d, .*\(given 'stem'; there are gate, features\.0, "),
        ({"first_conv": "features"}, "first_conv: must name .*given 'features'"),
        ({"first_conv": 3}, "first_conv: must name .*given 3"),
        ({"classifier": "head.0"},
         r"classifier: must name .* each class \(7 here\).*given 'head\.0'; there are head, "),
        ({"classifier": "unused"}, "classifier: unused is not called when it runs"),
        ({"classifier": "other"}, "the answer does not depend on other"),
        ({"classifier": "head", "first_conv": "head.0"}, r"head, the head, must be called behind"),
        ({"classifier": "head", "first_conv": "other"}, r"head, the head, must be called behind"),
        (SAID | {"stages": "features.3"}, r"stages: must name modules .*given 'features\.3'"),
        (SAID | {"stages": ["features.2"]}, r"stages: must name modules .*given \['features\.2'\]"),
        (SAID | {"stages": ["features"]}, r"\(features overlaps with features\.0; given"),
        (SAID | {"stages": ["head.0"]}, r"\(head\.0 overlaps with head; given"),
        (SAID | {"stages": ["features.3"] * 2}, r"features\.3 overlaps with features\.3; given"),
        (SAID | {"stages": ["features.6", "features.3"]},
         r"features\.3 is called before features\.6; given"),
        (SAID | {"stages": ["gate"]}, r"gate is called before features\.0; given"),
        (SAID | {"stages": ["other"]}, "other is called after head; given"),
        (SAID | {"stages": ["unused"]}, "unused is not called when it runs; given"),
    ],
)  # fmt: skip
def test_what_is_said_wrongly_is_refused(said: object, told: str, mine: Path) -> None:
    mine.write_text(gated(said))
    with pytest.raises(NetworkError, match=rf"^own/mine\.py: .*{told}"):
        backbones.find(NAME)


@pytest.mark.parametrize(("text", "stem"), [(PATCHES, "embed"), (FOLDED, "1")])
def test_a_first_layer_that_takes_no_image_is_kept(
    text: str, stem: str, mine: Path, split: Split
) -> None:
    mine.write_text(text)
    assert backbones.find(NAME).stem == stem
    model = classifier.build(settings(), split, Path())
    assert model.network(torch.zeros(3, 1, 28, 28)).shape == (3, len(split.classes))
    with pytest.raises(
        NetworkError,
        match=rf"its first layer, {stem}, .* write stem_stride: keep and stem_kernel: keep; .*"
        'pretrained_cfg = {"first_conv"',
    ):
        classifier.build(settings(stem_stride=2, stem_kernel=7), split, Path())


def test_a_folded_image_of_a_library_is_kept_in_colour() -> None:
    name = "timm:tresnet_m"
    network = classifier.make(Architecture(name, 5, 3, 1, 3))
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    with pytest.raises(NetworkError, match=r"body\.conv1\.conv, .*with images of 3 channels"):
        classifier.make(Architecture(name, 5, 1, 1, 3))


def test_a_checkpoint_of_a_network_that_begins_linear_is_adopted(
    mine: Path, tmp_path: Path, split: Split
) -> None:
    mine.write_text(PATCHES)
    folder = tmp_path / "weights" / "mine"
    folder.mkdir(parents=True)
    network = backbones.find(NAME).publish(len(split.classes), 1).eval()
    torch.save(network.state_dict(), folder / "best.pth")
    files.write_json(folder / "notes.json", {"mean": [0.5], "std": [0.25]})
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in split.classes))
    model = classifier.build(settings(pretrained="mine"), split, tmp_path / "weights")
    images = torch.zeros(2, 1, split.preprocessing.height, split.preprocessing.width)
    with torch.no_grad():
        assert torch.equal(model.network.eval()(images), network(images))
