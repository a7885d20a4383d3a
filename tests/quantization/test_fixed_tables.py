"""What a `forward` makes of numbers alone is a buffer of the graph, or stays where it is not."""

import copy

import pytest
import tabled
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.quantization import exported_graph

EXAMPLE = torch.zeros(2, 3, 16, 16)
IMAGES = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))

_aten = torch.ops.aten


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


def tables(graph: fx.GraphModule) -> list[str]:
    return [name for name, _ in graph.named_buffers()]


def changes(graph: fx.GraphModule) -> list[fx.Node]:
    in_place = {_aten.copy_.default, _aten.fill_.Tensor, _aten.fill_.Scalar}
    return [each for each in graph.graph.nodes if each.target in in_place]


@pytest.mark.parametrize("kind", tabled.KINDS)
@torch.no_grad()
def test_a_network_answers_as_before_for_any_number_of_images(kind: type[nn.Module]) -> None:
    network = made(kind)
    graph = exported_graph.folded(network, EXAMPLE)
    for images in (IMAGES, IMAGES[:1]):
        assert torch.equal(graph(images), network(images))


@pytest.mark.parametrize(
    "kind", [tabled.Coordinates, tabled.Windowed, tabled.Normalised, tabled.Blurred]
)
def test_nothing_is_left_of_how_a_table_was_made(kind: type[nn.Module]) -> None:
    graph = exported_graph.folded(made(kind), EXAMPLE)
    assert tables(graph)
    assert not changes(graph)
    assert not {_aten.zeros.default, _aten.ones.default} & {n.target for n in graph.graph.nodes}


@pytest.mark.parametrize("kind", tabled.KINDS)
def test_a_table_that_was_kept_is_in_no_state(kind: type[nn.Module]) -> None:
    network = made(kind)
    network(IMAGES)
    before, fresh = (
        exported_graph.folded(each, EXAMPLE).state_dict().keys() for each in (network, made(kind))
    )
    assert before == fresh


def test_what_images_are_written_into_is_no_table() -> None:
    assert not tables(exported_graph.folded(made(tabled.Shifted), EXAMPLE))


class Trained(nn.Module):
    """A weight is written into one table; another is read before and after it is changed."""

    def __init__(self) -> None:
        super().__init__()
        self.table_0, self.head = nn.Parameter(torch.rand(1)), nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        trained = images.new_zeros(3, 1, 1)
        trained[0] = self.table_0
        counts = images.new_full((3, 1, 1), 3.0)
        once = counts + 1
        counts[1] = 5
        return self.head(images * counts + once + trained).mean((2, 3))


@torch.no_grad()
def test_a_table_has_the_value_that_its_reader_saw_and_a_name_of_its_own() -> None:
    network = made(Trained)
    graph = exported_graph.folded(network, EXAMPLE)
    assert torch.equal(graph(IMAGES), network(IMAGES))
    assert tables(graph) == ["table_1", "table_2"]
    assert "table_0" in dict(graph.named_parameters())
    later = copy.deepcopy(graph)
    later.table_0.fill_(7.0)
    assert not torch.equal(later(IMAGES), graph(IMAGES))


class Blurring(nn.Module):
    """Two convolutions with one kernel of numbers, and a BatchNorm behind each."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.Conv2d(3, 5, 1)
        for place, norm in enumerate((self.one, self.two)):
            nn.init.constant_(norm.bias, place)
            nn.init.uniform_(norm.running_var, 0.1, 0.5)

    def forward(self, images: Tensor) -> Tensor:
        for norm in (self.one, self.two):
            kernel = torch.full((3, 1, 3, 3), 1 / 9)
            images = norm(functional.conv2d(images, kernel, padding=1, groups=3)).relu()
        return self.head(images).mean((2, 3))


@torch.no_grad()
def test_a_kernel_of_numbers_takes_up_no_batchnorm() -> None:
    network = made(Blurring)
    graph = exported_graph.folded(network, EXAMPLE)
    assert torch.allclose(graph(IMAGES), network(IMAGES), atol=1e-6)
    assert tables(graph) == ["table_0"]


class Asking(nn.Module):
    """Code takes a number from a table that it filled."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        counts = torch.zeros(3)
        counts[0] = 5
        return self.head(images * counts.max().item()).mean((2, 3))


@torch.no_grad()
def test_what_a_number_is_taken_from_stays() -> None:
    network = made(Asking)
    graph = exported_graph.folded(network, EXAMPLE)
    assert torch.allclose(graph(IMAGES), network(IMAGES), atol=1e-6)


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images + torch.randn(16, 16)).mean((2, 3))


def test_chance_stays_chance() -> None:
    graph = exported_graph.of(made(Noisy), EXAMPLE)
    assert not tables(graph)
    assert not torch.equal(graph(IMAGES), graph(IMAGES))


class Weighing(nn.Module):
    """A layer's weight is a parameter times a table."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.rand(6, 3, 3, 3))

    def forward(self, images: Tensor) -> Tensor:
        mask = torch.ones(3, 3)
        mask[1, 1] = 0
        return torch.conv2d(images, mask * self.own).mean((2, 3))


@torch.no_grad()
def test_a_weight_that_a_table_is_part_of_keeps_its_name() -> None:
    network = made(Weighing)
    graph = exported_graph.folded(network, EXAMPLE)
    assert torch.allclose(graph(IMAGES), network(IMAGES), atol=1e-6)
    assert [name for name, _ in graph.named_parameters()] == ["own"]
