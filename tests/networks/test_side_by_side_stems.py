"""Several layers may read the image side by side; all of them are exchanged, or none is."""

from pathlib import Path

import kinds
import pytest
import torch

from slimline import files
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.doctor import network as doctor
from slimline.errors import NetworkError, PretrainedError
from slimline.networks import backbones, classifier, pretrained, reparameterisation
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams

MINE = """
import torch
from torch import nn
from torch.nn import functional


class Mine(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.two = nn.Conv2d(in_channels, 8, 3, 2, 1)
        self.{layer}
        self.body = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU())
        self.head = nn.Linear(12, num_classes)

    def forward(self, images):
        return self.head(self.body({first}).mean((2, 3)))


def build(num_classes, in_channels):
    return Mine(num_classes, in_channels)
"""

SMALL = "functional.avg_pool2d(images, 2)"
LAYER = {
    "branches": "one = nn.Conv2d(in_channels, 8, 1, 2)",
    "scales": "coarse = nn.Conv2d(in_channels, 8, 5, 1, 2)",
    "skip": "joined = nn.Conv2d(8 + in_channels, 8, 3, 1, 1)",
}
FIRST = {
    "branches": "self.one(images) + self.two(images)",
    "scales": f"self.two(images) + self.coarse({SMALL})",
    "skip": f"self.joined(torch.cat([self.two(images), {SMALL}], 1))",
}
STEMS = {"branches": ("two", "one"), "scales": ("two", "coarse"), "skip": ("two", "joined")}

LIBRARY = {
    "timm:repvgg_a0": ("stem.conv_kxk.conv", "stem.conv_1x1.conv"),
    "timm:mobileone_s0": ("stem.conv_kxk.0.conv", "stem.conv_scale.conv"),
    "timm:fastvit_t8": ("stem.0.conv_kxk.0.conv", "stem.0.conv_scale.conv"),
    "timm:crossvit_9_240": ("patch_embed.0.proj", "patch_embed.1.proj"),
    "timm:coat_lite_tiny": ("patch_embed1.proj",),
    "timm:res2net50_14w_8s": ("conv1",),
}
FAMILIES = [
    pytest.param(name, marks=[] if name == "timm:repvgg_a0" else pytest.mark.slow)
    for name in LIBRARY
]


@pytest.fixture(scope="module", params=kinds.KINDS)
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Return grey arrays, and colour photos."""
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"))["validation"]


def own(first: str) -> str:
    """Return the code of a network that begins so."""
    return MINE.replace("{layer}", LAYER[first]).replace("{first}", FIRST[first])


def settings(backbone: str, pretrained: str = "none", **stem: object) -> ModelParams:
    kept = {"stem_stride": "keep", "stem_kernel": "keep"} | stem
    return ModelParams.model_validate(
        {"backbone": backbone, "pretrained": pretrained, "activation": "keep", **kept}
    )


def built(name: str, channels: int, size: int) -> Classifier:
    """Return a network of a library as published, but for the channels."""
    stem = backbones.find(name).outline(2).get_submodule(backbones.find(name).stem)
    architecture = Architecture(name, 5, channels, stem.stride[0], stem.kernel_size[0])
    frame = Preprocessing(size, size, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    return Classifier(classifier.make(architecture).eval(), architecture, [*"abcde"], frame)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_grey_images_are_answered_as_the_same_in_colour(name: str) -> None:
    entry = backbones.find(name)
    assert entry.stems == LIBRARY[name]
    size = entry.image_size or 96
    rgb, grey = (built(name, channels, size) for channels in (3, 1))
    account = pretrained.adopt(
        grey.network, rgb.network.state_dict(), source="", stems=entry.stems, head=entry.head
    )
    assert set(account.resized) == {f"{stem}.weight" for stem in entry.stems}
    assert not account.random
    images = torch.rand(2, 1, size, size)
    expected = rgb.network(images.expand(-1, 3, -1, -1))
    found = grey.network(images)
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.std()))


@pytest.mark.parametrize("name", ["timm:repvgg_a0", "timm:mobileone_s0", "timm:fastvit_t8"])
def test_branches_are_merged_in_grey(name: str) -> None:
    merged = reparameterisation.merged(built(name, 1, 64))
    first = next(each for each in merged.network.modules() if isinstance(each, torch.nn.Conv2d))
    assert first.in_channels == first.weight.shape[1] == 1


def test_branches_of_a_library_go_through_whatever_the_data(split: Split) -> None:
    model = classifier.build(settings("timm:repvgg_a0"), split, Path())
    channels = {model.network.get_submodule(name).in_channels for name in LIBRARY["timm:repvgg_a0"]}
    assert channels == {split.preprocessing.channels}


def test_a_stride_is_exchanged_in_all_branches(split: Split) -> None:
    model = classifier.build(
        settings("timm:repvgg_a0", stem_stride=1, stem_kernel=3), split, Path()
    )
    shapes = {
        name: (layer.stride, layer.kernel_size)
        for name in LIBRARY["timm:repvgg_a0"]
        for layer in [model.network.get_submodule(name)]
    }
    assert [*shapes.values()] == [((1, 1), (3, 3)), ((1, 1), (1, 1))]
    assert reparameterisation.merged(model) is not model


@pytest.mark.parametrize(
    ("name", "stem", "told"),
    [
        ("timm:repvgg_a0", {"stem_kernel": 5},
         r"2 layers read the image side by side, each in its own way: stem\.conv_kxk\.conv "
         r"\(3 x 3 pixels, stride 2\), stem\.conv_1x1\.conv \(1 x 1 pixels, stride 2\); write "
         "stem_kernel: keep$"),
        ("timm:crossvit_9_240", {"stem_stride": 1}, "begins with patches .* stem_stride: keep"),
    ],
)  # fmt: skip
def test_what_would_part_them_is_refused(
    name: str, stem: dict[str, int], told: str, split: Split
) -> None:
    with pytest.raises(NetworkError, match=rf"^{name}: {told}"):
        classifier.build(settings(name, **stem), split, Path())


@pytest.mark.parametrize("first", FIRST)
def test_of_ones_own(first: str, mine: Path, split: Split) -> None:
    mine.write_text(own(first))
    name = "own.mine:build"
    assert backbones.find(name).stems == STEMS[first]
    model = classifier.build(settings(name), split, Path())
    assert model.network(model.example).shape == (2, len(split.classes))
    (found,) = doctor.examine(
        name, mine.parent, size=32, channels=1, num_classes=3, steps=["builds"]
    )
    assert f"stem {' and '.join(STEMS[first])}, head head" in found.told


@pytest.mark.parametrize(
    ("first", "stem", "told"),
    [
        ("branches", {"stem_kernel": 5}, "write stem_kernel: keep; where another one is"),
        ("scales", {"stem_stride": 1, "stem_kernel": 7},
         "write stem_stride: keep and stem_kernel: keep; where another one is"),
    ],
)  # fmt: skip
def test_of_ones_own_what_would_part_them_is_refused(
    first: str, stem: dict[str, int], told: str, mine: Path, split: Split
) -> None:
    mine.write_text(own(first))
    with pytest.raises(NetworkError, match=f"side by side.*{told}"):
        classifier.build(settings("own.mine:build", **stem), split, Path())


@pytest.mark.parametrize("first", FIRST)
def test_a_checkpoint_in_colour_is_adopted_whatever_the_data(
    first: str, mine: Path, tmp_path: Path, split: Split
) -> None:
    mine.write_text(own(first))
    folder = tmp_path / "weights" / "mine"
    folder.mkdir(parents=True)
    network = backbones.find("own.mine:build").publish(len(split.classes), 3).eval()
    torch.save(network.state_dict(), folder / "best.pth")
    files.write_json(folder / "notes.json", {"mean": [0.5] * 3, "std": [0.25] * 3})
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in split.classes))
    given = settings("own.mine:build", "mine")
    channels, size = split.preprocessing.channels, split.preprocessing.height
    if first == "skip" and channels == 1:
        with pytest.raises(
            PretrainedError, match=r"joined\.weight takes other maps than the image"
        ):
            classifier.build(given, split, tmp_path / "weights")
        return
    model = classifier.build(given, split, tmp_path / "weights")
    images = torch.rand(2, channels, size, size)
    with torch.no_grad():
        found, wanted = model.network.eval()(images), network(images.expand(-1, 3, -1, -1))
    assert torch.allclose(found, wanted, atol=1e-5)
