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


KINDS = [Sliced, Masked, Querying]


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
    classifier.fit_shapes(fresh, {name: list(each.shape) for name, each in tensors.items()})
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
        (False, "a forward that draws numbers by chance cannot be quantized"),
    ],
)
def test_what_chance_has_a_part_in_is_refused(by_weights: bool, told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        exported_graph.folded(Looking(by_weights), EXAMPLE)
