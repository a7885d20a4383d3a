"""Branches that are merged answer as before, and what has none stays as it is."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import toy
from timm.layers import std_conv
from timm.models import byobnet, fastvit, repghost, repvit
from torch import Tensor, nn
from torch.nn import functional

from slimline.artifacts import description, model_folder
from slimline.data.preprocessing import Preprocessing
from slimline.errors import NetworkError
from slimline.networks import classifier, reparameterisation
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams

FRAME = Preprocessing(28, 28, 1, mean=(0.5,), std=(0.25,))

BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "RepVGG": lambda: byobnet.RepVggBlock(8, 8),
    "MobileOne": lambda: byobnet.MobileOneBlock(8, 8, num_conv_branches=2),
    "FastViT's stem": lambda: fastvit.MobileOneBlock(8, 8, 3),
    "FastViT's large kernels": lambda: fastvit.ReparamLargeKernelConv(8, 8, 7, 1, 1, 3),
    "FastViT's mixer": lambda: fastvit.RepMixer(8),
    "RepGhost": lambda: repghost.RepGhostModule(8, 8),
    "RepViT": lambda: repvit.RepVggDw(8, 3),
}


COMPUTED: dict[str, Callable[[], nn.Module]] = {
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1)),
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(12, 12)),
    "weight_norm of before": lambda: nn.utils.weight_norm(nn.Conv2d(8, 8, 3, padding=1)),
    "spectral_norm of before": lambda: nn.utils.spectral_norm(nn.Conv2d(8, 8, 3, padding=1)),
    "standardised": lambda: std_conv.StdConv2d(8, 8, 3, bias=True),
    "scaled": lambda: std_conv.ScaledStdConv2d(8, 8, 3, stride=2, dilation=2, groups=2),
    "masked": lambda: Masked(8, 8, 3, padding=1),
}


class Masked(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        mask = torch.ones(1, 1, 3, 3)
        mask[..., 2, :] = 0
        return functional.conv2d(images, self.weight * mask, self.bias, padding=1)


class Dynamic(nn.Conv2d):
    """Weighs by what it sees."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight * images.mean(), self.bias)


class Behind(nn.Conv2d):
    """Does more than to convolve."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, 2 * self.weight, self.bias).relu()


class Padded(nn.Conv2d):
    """Convolves something else than it is given."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(images, (0, 1, 0, 1)), 2 * self.weight, self.bias)


class Partial(nn.Conv2d):
    """Takes more than an image, as a partial convolution does."""

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return functional.conv2d(images * mask, 2 * self.weight, self.bias)


class Usual(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight, self.bias)


def shaken(network: nn.Module) -> nn.Module:
    """Return a network whose BatchNorm is not what it began with."""
    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):
            nn.init.uniform_(each.weight, 0.5, 2)
            nn.init.normal_(each.bias)
            nn.init.normal_(each.running_mean)
            nn.init.uniform_(each.running_var, 0.5, 2)
    return network.eval()


def tensors(network: nn.Module) -> int:
    return len(list(network.parameters()))


@pytest.mark.parametrize("kind", COMPUTED)
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_that_are_computed_become_plain(kind: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), COMPUTED[kind]()).eval()
    images = torch.randn(4, 3, 12, 12)
    before = network(images).detach()
    assert reparameterisation.merge(network) == ["1"]
    assert network.state_dict().keys() == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert torch.allclose(network(images), before, atol=1e-5)
    assert network[1].weight.requires_grad
    network.load_state_dict(network.state_dict())
    assert reparameterisation.merge(network) == [], "once"


@pytest.mark.parametrize("kind", [Dynamic, Behind, Padded, Partial, Usual])
def test_convolutions_that_are_none_of_one_computed_weight_stay(kind: type[nn.Conv2d]) -> None:
    assert reparameterisation.merge(nn.Sequential(kind(8, 8, 3)).eval()) == []


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_a_copy_keeps_the_weights_that_it_computes(kind: str) -> None:
    network = nn.Sequential(COMPUTED[kind]()).eval()
    images = torch.randn(2, 12) if kind == "spectral_norm" else torch.randn(2, 8, 6, 6)
    before = network(images)
    reparameterisation.merge(copy.deepcopy(network))
    assert torch.equal(network(images), before)


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_merged_block_answers_as_before(kind: str) -> None:
    torch.manual_seed(0)
    network = shaken(nn.Sequential(nn.Conv2d(3, 8, 3), BLOCKS[kind]()))
    images = torch.randn(4, 3, 12, 12)
    before, count = network(images).detach(), tensors(network)
    assert reparameterisation.merge(network) == ["1"]
    assert tensors(network) < count
    assert torch.allclose(network(images), before, rtol=1e-4, atol=1e-4)
    assert reparameterisation.merge(network) == [], "once"


def test_a_merged_network_is_rebuilt_from_its_folder(tmp_path: Path) -> None:
    split = toy.splits(tmp_path, validation_images=8)["validation"]
    settings = ModelParams(
        backbone="timm:repghostnet_050", pretrained="none", stem_stride="keep", stem_kernel="keep",
        activation="keep",
    )  # fmt: skip
    torch.manual_seed(0)
    model = classifier.build(settings, split, tmp_path)
    shaken(model.network)
    merged = reparameterisation.merged(model)
    assert reparameterisation.merged(merged) is merged
    model_folder.save(tmp_path / "m", merged, data=split, settings=settings, with_onnx=False)
    assert description.read(tmp_path / "m")["architecture"]["reparameterised"] is True
    again = model_folder.load(tmp_path / "m")
    assert torch.equal(again.network(model.example), merged.network(model.example))
    assert tensors(merged.network) < tensors(model.network)


def test_what_has_no_branches_is_the_same_model_and_says_nothing_of_it() -> None:
    architecture = Architecture("resnet8_w48", 10, 1, 1, 3)
    model = Classifier(classifier.make(architecture), architecture, ["a"] * 10, FRAME)
    assert reparameterisation.merged(model) is model
    assert "reparameterised" not in architecture.to_dict()


class Detached(nn.Module):
    """As published code does: what was merged is detached, and would never be trained again."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.merged(x) if hasattr(self, "merged") else self.one(x) + self.other(x)

    def switch_to_deploy(self) -> None:
        self.merged = copy.deepcopy(self.one)
        with torch.no_grad():
            self.merged.weight[:, :, 1:2, 1:2] += self.other.weight
            self.merged.bias += self.other.bias
        for each in self.parameters():
            each.detach_()
        del self.one, self.other


@pytest.mark.parametrize("is_trained", [True, False])
def test_what_was_trained_is_trained_when_it_is_merged(is_trained: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), Detached()).requires_grad_(is_trained)
    assert reparameterisation.merge(network) == ["1"]
    assert [each.requires_grad for each in network[1].parameters()] == [is_trained] * 2


class Evaluated(Detached):
    """As timm's EfficientViM: merges nothing that is being trained."""

    def switch_to_deploy(self) -> None:
        assert not self.training
        super().switch_to_deploy()


def test_what_is_trained_is_merged_as_it_will_be_used() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), Evaluated()).train()
    assert reparameterisation.merge(network) == ["1"]
    assert all(each.training for each in network.modules())


class Fuses(nn.Module):
    """Parts that are called as what merges branches, and merge none."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.fuse = nn.Conv2d(8, 8, 1), nn.Conv2d(16, 8, 1)

    def reparameterize(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fuse(torch.cat([x, y], 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.reparameterize(x, self.one(x))


def test_a_layer_may_be_called_as_what_merges() -> None:
    assert reparameterisation.merge(nn.Sequential(nn.Conv2d(3, 8, 1), Fuses())) == []


class Wrong(nn.Module):
    """A block of a user's own that merges its branches wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)

    def reparameterize(self) -> None:
        del self.two

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.one(images)
        return found + self.two(images) if hasattr(self, "two") else found


def test_a_wrong_merge_is_refused() -> None:
    network = nn.Sequential(Wrong(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
    model = Classifier(network, Architecture("own.wrong:build", 10, 1, 1, 3), ["a"] * 10, FRAME)
    with pytest.raises(
        NetworkError, match=r"own.wrong:build: with what it trains with merged .*otherwise"
    ):
        reparameterisation.merged(model)
