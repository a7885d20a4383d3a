"""Networks that no table has: where they begin and end is found by looking."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from slimline.data.split_files import Split
from slimline.doctor import network as doctor
from slimline.errors import NetworkError
from slimline.networks import backbones, classifier
from slimline.networks.architecture import Architecture
from slimline.networks.settings import ModelParams
from slimline.training import backbone_swap

OWN = """
from torch import nn


class Mine(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.answer = nn.Linear(16, num_classes)
        self.body = nn.Sequential(nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.Conv2d(12, 16, 3))
        self.begin = nn.Conv2d(in_channels, 8, 3)

    def forward(self, images):
        maps = self.body(self.begin(images))
        return self.answer(maps.mean((2, 3)))


def build(num_classes, in_channels):
    return Mine(num_classes, in_channels)


def other(classes):
    return None
"""


@pytest.fixture
def own(mine: Path) -> None:
    mine.write_text(OWN)


def params(backbone: str, **stem: object) -> ModelParams:
    plain = {"pretrained": "none", "stem_stride": "keep", "stem_kernel": "keep"}
    return ModelParams(backbone=backbone, activation="keep", **plain | stem)  # type: ignore[arg-type]


@pytest.mark.usefixtures("own")
def test_the_parts_of_an_own_network_are_found_whatever_their_order(split: Split) -> None:
    entry = backbones.find("own.mine:build")
    assert (entry.stem, entry.head) == ("begin", "answer.")
    assert (entry.stages, entry.trunk) == (("body.0", "body.2"), ("body.0", "body.1", "body.2"))
    model = classifier.build(params("own.mine:build"), split, Path())
    assert model.network.begin.in_channels == 1  # type: ignore[union-attr]
    trained = []
    for unfreeze in (0, 1, 2):
        backbone_swap.freeze(model.network, "own.mine:build", unfreeze)
        trained.append(
            {
                name.rpartition(".")[0]
                for name, each in model.network.named_parameters()
                if each.requires_grad
            }
        )
    assert trained == [{"answer"}, {"answer", "body.2"}, {"answer", "body.0", "body.1", "body.2"}]


@pytest.mark.usefixtures("own")
def test_another_signature_is_refused() -> None:
    with pytest.raises(
        NetworkError, match=r"own/mine\.py: other must take num_classes and in_channels"
    ):
        backbones.find("own.mine:other")


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "timm:resnet10t"])
def test_a_network_of_a_library_takes_grey_images(name: str, split: Split) -> None:
    model = classifier.build(params(name), split, Path())
    assert model.network(torch.zeros(3, 1, 28, 28)).shape == (3, len(split.classes))


def test_looking_changes_no_random_number() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    backbones.find.cache_clear()
    torch.manual_seed(0)
    backbones.find("torchvision:squeezenet1_1")
    assert torch.equal(torch.rand(3), expected)


def test_patches_are_not_exchanged_without_a_word() -> None:
    name = "timm:convmixer_768_32"
    with pytest.raises(NetworkError, match=r"patches of 7 x 7 pixels.*stem_stride: keep"):
        classifier.make(Architecture(name, 5, 3, 1, 3))


def test_images_that_a_network_does_not_take(split: Split) -> None:
    with pytest.raises(
        NetworkError, match=r"does not take images of 1 x 28 x 28.*data\.image_size"
    ):
        classifier.build(params("torchvision:densenet121"), split, Path())


def test_what_depends_on_its_input_has_no_graph() -> None:
    from slimline.networks import tracing

    class Deciding(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images if images.sum() > 0 else -images

    with pytest.raises(NetworkError, match="Deciding: its forward decides by what it is given"):
        tracing.graph(Deciding())


FIXED = """
from torch import nn


class Fixed(nn.Sequential):
    image_size = 40

    def forward(self, images):
        assert images.shape[-1] == self.image_size, "takes 40 pixels"
        return super().forward(images)


def build(num_classes, in_channels):
    return Fixed(
        nn.Conv2d(in_channels, 8, 3), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, num_classes),
    )
"""


@pytest.mark.usefixtures("own")
def test_a_network_says_which_size_it_demands(tmp_path: Path) -> None:
    (tmp_path / "own" / "mine.py").write_text(FIXED)
    entry = backbones.find("own.mine:build")
    assert (entry.stem, entry.head, entry.image_size) == ("0", "4.", 40)
    steps = doctor.examine(
        "own.mine:build", tmp_path, size=None, channels=3, num_classes=3, steps=["builds"]
    )
    assert [each.figures["px"] for each in steps] == [40]


@pytest.mark.usefixtures("own")
def test_an_attribute_that_is_called_as_timms_may_be_anything(tmp_path: Path) -> None:
    odd = "    image_size = 'any'\n    pretrained_cfg = ('mine', 3)\n"
    text = FIXED.replace("    image_size = 40\n", odd).replace("== self.image_size", "> 20")
    (tmp_path / "own" / "mine.py").write_text(text)
    assert backbones.find("own.mine:build").image_size == 96


@pytest.mark.usefixtures("own")
def test_of_a_network_that_demands_a_size_it_is_told_what_fails_with_that(tmp_path: Path) -> None:
    text = FIXED.replace(
        "return super().forward(images)", "raise ValueError('no weights for 40 pixels')"
    )
    (tmp_path / "own" / "mine.py").write_text(text)
    with pytest.raises(NetworkError, match="no weights for 40 pixels"):
        backbones.find("own.mine:build")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("pixels", "is_found"), [(128, True), (299, True), (100, False)])
def test_a_size_that_nobody_tries_is_asked_for(tmp_path: Path, pixels: int, is_found: bool) -> None:
    text = FIXED.replace("    image_size = 40\n", "").replace("self.image_size", str(pixels))
    (tmp_path / "own" / "mine.py").write_text(text)
    if is_found:
        assert backbones.find("own.mine:build").image_size == pixels
        return
    with pytest.raises(NetworkError, match="say it in an attribute `image_size`"):
        backbones.find("own.mine:build")


BODY = """
import torch
from torch import nn


class Odd(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, 2, 1)
        self.body = {body}
        self.fc = nn.Linear(8, classes)

    def forward(self, images):
        found = self.body(torch.relu(self.stem(images))).mean((2, 3))
        return {answer}


class Masked(nn.Conv2d):
    def __init__(self):
        super().__init__(8, 8, 1)
        mask = torch.tensor([1.0, 0.5] * 4)[:, None, None, None]
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, images):
        return nn.functional.conv2d(images, self.weight * self.mask, self.bias)


class Scaled(nn.Conv2d):
    def __init__(self):
        super().__init__(8, 8, 1)
        self.gain = nn.Parameter(torch.full((1,), 2.0))

    def forward(self, images):
        return self.gain * super().forward(images)


def frozen():
    made = nn.Conv2d(8, 8, 1)
    made.weight.requires_grad = False
    return made


def normalised():
    return nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1))


def build(num_classes, in_channels):
    return Odd(num_classes, in_channels)
"""


def odd(folder: Path, body: str, answer: str = "self.fc(found)") -> None:
    text = BODY.replace("{body}", body).replace("{answer}", answer)
    (folder / "own" / "mine.py").write_text(text)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("body", ["Masked()", "Scaled()", "frozen()", "normalised()"])
def test_what_a_layer_keeps_besides_its_weight_is_there_when_it_is_rebuilt(
    body: str, tmp_path: Path, split: Split
) -> None:
    odd(tmp_path, body)
    model = classifier.build(params("own.mine:build"), split, Path())
    described = {
        "architecture": asdict(model.architecture), "classes": model.classes,
        "preprocessing": model.preprocessing.to_dict(), "pretrained": None,
    }  # fmt: skip
    again = classifier.rebuild(described, model.network.state_dict())
    assert torch.equal(again.network(model.example + 1), model.network.eval()(model.example + 1))
    frozen = [key for key, each in again.network.named_parameters() if not each.requires_grad]
    assert frozen == (["body.weight"] if body == "frozen()" else [])


@pytest.mark.usefixtures("own")
@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is (deprecated|not supported):Warning")
@pytest.mark.parametrize(
    ("body", "answer", "told"),
    [
        ("nn.utils.weight_norm(nn.Conv2d(8, 8, 1))", "self.fc(found)", "remove_weight_norm"),
        ("nn.Conv2d(8, 8, 1)", "(self.fc(found), found) if self.training else self.fc(found)",
         "answers 2 images while it is trained with tuple, .* return the logits alone"),
        ("nn.Conv2d(8, 8, 1)", "self.fc(found).squeeze()",
         r"answers 1 image with \[10\], not with logits \(1, 10\): .* squeeze\(-1\)"),
        ("nn.Conv2d(8, 8, 1)", "self.fc({1: found}[len(images)])",
         r"does not run on images of 3 x \d+ x \d+: KeyError: 2 \(own/mine\.py, line \d+\)"),
        ("self.nothing", "self.fc(found)", r"cannot be built: AttributeError: .*own/mine\.py"),
        ("torch.jit.script(nn.Conv2d(8, 8, 1))", "self.fc(found)", r"parts that torch\.jit made"),
        ("nn.Conv2d(8, 8, 1)", "self.fc(found) + self.shift",
         "answers otherwise when it is built again"),
        ("nn.Conv2d(8, 8, 1)", "nn.functional.pad(self.lazy(found), (0, 0))", "lazy layers"),
    ],
)  # fmt: skip
def test_what_would_fail_after_hours_is_refused_first(
    body: str, answer: str, told: str, tmp_path: Path, split: Split
) -> None:
    odd(tmp_path, body, answer)
    path = tmp_path / "own" / "mine.py"
    line = "        self.fc = nn.Linear(8, classes)\n"
    more = "        self.lazy = nn.LazyLinear(classes)\n" if "lazy" in answer else ""
    more += "        self.shift = torch.randn(classes)\n" if "shift" in answer else ""
    path.write_text(path.read_text().replace(line, line + more))
    with pytest.raises(NetworkError, match=told):
        classifier.build(params("own.mine:build"), split, Path())
