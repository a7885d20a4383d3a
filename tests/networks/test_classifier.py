"""A teacher that sees the images of its pupil as it wants them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from slimline.data.preprocessing import Preprocessing
from slimline.errors import ArtifactError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier

RGB = Preprocessing(8, 8, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GREY = Preprocessing(8, 8, 1, (0.3,), (0.2,))
EXAMPLE = torch.zeros(2, 3, 8, 8)


def seen(images: np.ndarray, given: Preprocessing, wanted: Preprocessing) -> torch.Tensor:
    """Return what a teacher sees of images that were prepared for its pupil."""
    teacher = Classifier(nn.Identity(), Architecture("any", 2, wanted.channels, 1, 3), [], wanted)
    return classifier.adapted(teacher, given)(torch.from_numpy(given.normalise(images)))


def test_grey_images_for_a_teacher_in_colour_and_back() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    colour = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    for images, given, wanted in ((grey, GREY, RGB), (colour, RGB, GREY), (grey, RGB, GREY)):
        expected = torch.from_numpy(wanted.normalise(images))
        # Pillow rounds grey to whole numbers, of 255.
        assert torch.allclose(seen(images, given, wanted), expected, atol=1 / 255 / 0.2)


def test_a_teacher_of_the_same_images_is_left_alone() -> None:
    network = nn.Identity()
    teacher = Classifier(network, Architecture("any", 2, 3, 1, 3), [], RGB)
    assert classifier.adapted(teacher, RGB) is network


def test_where_quantization_put_a_convolution_a_batchnorm_is_rebuilt() -> None:
    """DenseNet's BatchNorm stands in front: its folder of int8 training has a depthwise weight."""
    network = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    shapes = {"0.weight": [3, 1, 1, 1], "0.bias": [3], "1.weight": [2, 3, 3, 3], "1.bias": [2]}
    classifier.fit_shapes(network, shapes, EXAMPLE)
    assert {name: tuple(each.shape) for name, each in network[0].state_dict().items()} == {
        "weight": (3,), "bias": (3,), "running_mean": (3,), "running_var": (3,),
        "num_batches_tracked": (),
    }  # fmt: skip


class InTwoPlaces(nn.Module):
    """As CoaT's position encoding, which each block has as well: a layer of two names."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, groups=3)
        self.blocks = nn.ModuleList([nn.Sequential(self.shared)])

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.blocks[0](images)
        return answer


@pytest.mark.parametrize("name", ["shared", "blocks.0.0"])
def test_a_layer_of_two_names_may_be_stored_by_either(name: str) -> None:
    network = InTwoPlaces()
    classifier.fit_shapes(network, {f"{name}.weight": [2, 1, 3, 3], f"{name}.bias": [2]}, EXAMPLE)
    assert network.blocks[0][0] is network.shared
    assert network(torch.zeros(1, 2, 8, 8)).shape == (1, 2, 6, 6)


class Tied(nn.Module):
    """Two layers of one weight, which pruning may cut to different widths."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(4, 8)
        self.b.weight = self.a.weight


def test_layers_that_pruning_untied_have_widths_of_their_own() -> None:
    network = Tied()
    classifier.fit_shapes(
        network, {"a.weight": [6, 4], "a.bias": [6], "b.weight": [8, 4], "b.bias": [8]}, EXAMPLE
    )
    assert [network.a.out_features, network.b.out_features] == [6, 8]
    assert [tuple(each.weight.shape) for each in (network.a, network.b)] == [(6, 4), (8, 4)]


class Standardised(nn.Conv2d):
    """As in timm's NF-RegNet: int8 training keeps the weight that its gain was multiplied into."""

    def __init__(self, *, persistent: bool = True) -> None:
        super().__init__(3, 8, 3)
        self.gain = nn.Parameter(torch.ones(8, 1, 1, 1))
        self.register_buffer("scale", torch.ones(8, 1, 1, 1), persistent=persistent)

    def forward(self, images: Tensor) -> Tensor:
        weight = self.weight * self.gain * self.get_buffer("scale")
        return nn.functional.conv2d(images, weight, self.bias)


NARROW = {"0.weight": [6, 3, 3, 3], "0.bias": [6]}


def test_what_a_standardised_weight_was_computed_from_is_narrowed_with_it() -> None:
    network = nn.Sequential(Standardised())
    classifier.fit_shapes(network, NARROW, EXAMPLE)
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 6, 6, 6)


def test_a_buffer_that_no_file_keeps_cannot_be_narrowed() -> None:
    with pytest.raises(ArtifactError, match="no tensor scale of a Standardised, which was cut"):
        classifier.fit_shapes(nn.Sequential(Standardised(persistent=False)), NARROW, EXAMPLE)


class Listed(nn.Module):
    """As Res2Net: layers in one list, what is behind each of them in another."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.BatchNorm2d(8)])
        self.convs = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)])

    def forward(self, images: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            images = norm(conv(images))
        return images


def test_a_folded_batchnorm_is_as_wide_as_what_it_reads() -> None:
    network = Listed().train()
    shapes = {
        "convs.0.weight": [6, 3, 3, 3], "convs.0.bias": [6],
        "convs.1.weight": [4, 6, 3, 3], "convs.1.bias": [4],
    }  # fmt: skip
    classifier.fit_shapes(network, shapes, EXAMPLE)
    assert [each.num_features for each in network.norms] == [6, 4]
    assert network.training
    assert not any(each.num_batches_tracked for each in network.norms)


class WithSecondHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.other = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
        self.unused, self.head = nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.conv(images))
        self.seen = self.other(maps)
        answer: Tensor = self.head(maps.mean((2, 3)))
        return answer


def test_what_quantization_left_out_is_not_missed() -> None:
    network = WithSecondHead().eval()
    shapes = {
        "conv.weight": [6, 3, 3, 3], "conv.bias": [6], "head.weight": [5, 6], "head.bias": [5],
    }  # fmt: skip
    classifier.fit_shapes(network, shapes, EXAMPLE)
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    kinds = [type(each) for each in (*network.other, network.unused, network.norm)]
    assert kinds == [nn.Identity, nn.Identity, nn.Identity, nn.BatchNorm2d]
    del shapes["head.weight"], shapes["head.bias"]
    with pytest.raises(ArtifactError, match=r"the weights have no tensor head\.weight"):
        classifier.fit_shapes(WithSecondHead(), shapes, EXAMPLE)


class ByKeyword(Listed):
    def forward(self, images: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            images = norm(input=conv(images))
        return images


def test_a_folded_batchnorm_may_be_called_by_keyword() -> None:
    network = ByKeyword()
    shapes = {"convs.0.weight": [6, 3, 3, 3], "convs.1.weight": [4, 6, 3, 3]}
    classifier.fit_shapes(network, shapes, EXAMPLE)
    assert [each.num_features for each in network.norms] == [6, 4]


class WrittenInPlace(WithSecondHead):
    """What a layer makes is added to what is answered, and not returned."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.conv(images)).clone()
        maps.add_(self.other[1](self.other[0](maps)).mean(1, keepdim=True))
        answer: Tensor = self.head(maps.mean((2, 3)))
        return answer


def test_what_is_written_in_place_is_not_left_out() -> None:
    network = WrittenInPlace().eval()
    shapes = {
        "conv.weight": [6, 3, 3, 3], "conv.bias": [6], "head.weight": [5, 6], "head.bias": [5],
        "other.0.weight": [4, 6, 1, 1], "other.0.bias": [4],
    }  # fmt: skip
    classifier.fit_shapes(network, shapes, EXAMPLE)
    kinds = [type(each) for each in (*network.other, network.unused)]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.Identity]
