"""Weights that code slices, masks or builds: each layer has its own, whatever their values are."""

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.errors import NetworkError
from slimline.networks import classifier
from slimline.quantization import exported_graph

EXAMPLE = torch.zeros(2, 3, 8, 8)
IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Sliced(nn.Module):
    """As torch's attention of other keys: parts of one weight are layers."""

    def __init__(self) -> None:
        super().__init__()
        self.packed, self.head = nn.Linear(3, 12), nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(2).transpose(1, 2)
        weights, biases = self.packed.weight.chunk(3), self.packed.bias.chunk(3)
        parts = [
            functional.linear(rows, *each) * (1 + place)
            for place, each in enumerate(zip(weights, biases, strict=True))
        ]
        return self.head(torch.cat(parts, -1).mean(1))


class Masked(nn.Module):
    """As PixelCNN: a convolution does not see the middle; its weight is read whole besides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        weight = self.conv.weight.clone()
        weight[:, :, 1, 1] = 0
        seen = functional.conv2d(images, weight, self.conv.bias, padding=1)
        return (seen + self.conv(images)).mean((2, 3))


class Querying(nn.Module):
    """A query that is learnt asks all places: the weights of queries and keys are parts of one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.query = nn.Conv2d(3, 16, 2, 2), nn.Parameter(torch.rand(1, 1, 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.stem(images).flatten(2).transpose(1, 2)
        found, _ = self.attention(self.query.expand(images.size(0), -1, -1), rows, rows)
        return self.head(found[:, 0])


class MaskedTwice(nn.Module):
    """One weight is masked in several ways, each a copy that is changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, images: Tensor) -> Tensor:
        answers = []
        for place in range(3):
            weight = self.conv.weight.clone()
            weight[:, :, place] = 0
            answers.append(functional.conv2d(images, weight, padding=1).mean((2, 3)))
        return torch.stack(answers).sum(0)


class Normalised(nn.Module):
    """Parts of one weight, and two weights of one module, with a BatchNorm behind each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norms = (
            nn.Conv2d(3, 10, 3),
            nn.ModuleList(nn.BatchNorm2d(5) for _ in "abcd"),
        )
        self.one, self.two = (nn.Parameter(torch.rand(5, 3, 3, 3)) for _ in "ab")
        for place, norm in enumerate(self.norms):
            nn.init.constant_(norm.bias, place)
            nn.init.uniform_(norm.running_mean, -1, 1)

    def forward(self, images: Tensor) -> Tensor:
        weights = [self.conv.weight[:5], self.conv.weight[5:], self.one, self.two]
        maps = [
            norm(functional.conv2d(images, weight, padding=1)).relu()
            for norm, weight in zip(self.norms, weights, strict=True)
        ]
        return torch.stack(maps).sum((0, 3, 4))


class Shared(nn.Module):
    """A standardised weight is computed in each of two calls, with another BatchNorm behind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        nn.init.constant_(self.two.bias, 2.0)

    def convolved(self, images: Tensor) -> Tensor:
        weight = self.conv.weight - self.conv.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(images, weight, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.two(self.convolved(self.one(self.convolved(images)).relu())).mean((2, 3))


class Gained(nn.Module):
    """A weight is the product of two parameters, the smaller of which is named first."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.conv = nn.Parameter(torch.rand(5, 1, 1, 1)), nn.Conv2d(3, 5, 3)

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.gain * self.conv.weight).mean((2, 3))


KINDS = [Sliced, Masked, MaskedTwice, Querying, Normalised, Shared, Gained]


def made(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return kind().eval()


def names(graph: fx.GraphModule) -> list[str]:
    return [name for name, _ in graph.named_parameters()]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_network_answers_as_before(kind: type[nn.Module]) -> None:
    network = made(kind)
    graph = exported_graph.folded(network, EXAMPLE)
    assert torch.allclose(graph(IMAGES), network(IMAGES), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_names_are_those_of_another_network_whose_weights_are_alike(kind: type[nn.Module]) -> None:
    network, zeros = made(kind), made(kind, seed=1)
    for each in zeros.parameters():
        each.zero_()
    assert names(exported_graph.folded(network, EXAMPLE)) == names(
        exported_graph.folded(zeros, EXAMPLE)
    )


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_it_is_read_back_from_its_tensors(kind: type[nn.Module]) -> None:
    trained = exported_graph.folded(made(kind), EXAMPLE)
    tensors = trained.state_dict()
    fresh = made(kind, seed=1)
    shapes = {name: list(each.shape) for name, each in tensors.items()}
    classifier.fit_shapes(fresh, shapes, EXAMPLE)
    again = exported_graph.folded(fresh, EXAMPLE)
    again.load_state_dict(tensors)
    assert torch.equal(again(IMAGES), trained(IMAGES))


def test_parts_of_a_weight_have_names_of_their_own() -> None:
    assert names(exported_graph.folded(made(Sliced), EXAMPLE)) == [
        "packed.weight_computed", "packed.bias_computed",
        "packed.weight_computed1", "packed.bias_computed1",
        "packed.weight_computed2", "packed.bias_computed2",
        "head.weight", "head.bias",
    ]  # fmt: skip


def test_a_weight_that_is_computed_in_two_calls_is_one() -> None:
    assert names(exported_graph.folded(made(Shared), EXAMPLE))[0] == "conv.weight"
    graph = exported_graph.folded(made(Shared), EXAMPLE)
    assert sum("conv" in each for each in names(graph)) == 1


def test_a_product_has_the_name_of_what_has_its_shape() -> None:
    assert names(exported_graph.folded(made(Gained), EXAMPLE)) == ["conv.weight"]


class Looking(nn.Module):
    """Looks at the images through weights of chance, or at images with noise."""

    def __init__(self, by_weights: bool) -> None:
        super().__init__()
        self.head, self.by_weights = nn.Conv2d(3, 5, 3), by_weights

    def forward(self, images: Tensor) -> Tensor:
        if self.by_weights:
            return functional.conv2d(images, torch.randn(5, 3, 3, 3)).mean((2, 3))
        return self.head(images + torch.randn(8, 8)).mean((2, 3))


@pytest.mark.parametrize(
    ("by_weights", "told"),
    [
        (True, r"draws the weights of a layer by chance \(.*\), and can't be quantized"),
        (False, "a forward that draws numbers by chance, .* cannot be quantized"),
    ],
)
def test_what_chance_has_a_part_in_is_refused(by_weights: bool, told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        exported_graph.folded(Looking(by_weights), EXAMPLE)
