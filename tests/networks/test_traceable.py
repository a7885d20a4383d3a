"""Code that asks images for more than a graph has is followed, and nothing of that is left."""

import copy
from collections import OrderedDict, deque

import pytest
import tabled
import torch
from torch import Tensor, fx, nn

from slimline.networks import tracing

EXAMPLE = torch.zeros(2, 3, 16, 16)
IMAGES = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", tabled.KINDS)
@torch.no_grad()
def test_a_graph_answers_as_its_network_in_any_copy_of_it(kind: type[nn.Module]) -> None:
    network = kind().eval()
    graph = tracing.graph_decided_by(EXAMPLE, network)
    again = fx.GraphModule(copy.deepcopy(network), graph)
    assert torch.allclose(again(EXAMPLE + 1), network(EXAMPLE + 1), atol=1e-6)


@pytest.mark.parametrize("kind", tabled.KINDS)
def test_nothing_is_left_in_a_network_that_was_followed(kind: type[nn.Module]) -> None:
    network = kind()
    before = {each: dict(vars(each)) for each in network.modules()}
    tracing.graph(network)
    tracing.graph_decided_by(EXAMPLE, network)
    assert {each: dict(vars(each)) for each in network.modules()} == before


@pytest.mark.parametrize("kind", [tabled.Windowed, tabled.Coordinates, tabled.Blurred])
def test_a_table_as_large_as_the_maps_is_one_for_images_of_any_size(kind: type[nn.Module]) -> None:
    network = kind().eval()
    traced = tracing.trace(network)
    images = torch.randn(2, 3, 20, 12)
    assert torch.allclose(traced(images), network(images), atol=1e-6)


class Caching(nn.Module):
    """A table for each size is kept in a dictionary, and calls are counted in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, Tensor] = {}
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if "last" not in self.tables:
            self.tables["last"] = torch.ones(images.shape[2], images.shape[3]) * 0.5
        return (images * self.tables["last"]).mean((2, 3))


def test_what_code_keeps_in_containers_and_buffers_is_taken_back() -> None:
    network = Caching().eval()
    tracing.graph(network)
    tracing.graph_decided_by(EXAMPLE, network)
    assert not network.tables
    assert not network.calls
    assert torch.equal(network(IMAGES), IMAGES.mean((2, 3)) * 0.5)


class Nesting(nn.Module):
    """A table stands in a dictionary within a list, and a value in a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = [{"tables": OrderedDict[str, Tensor]()}]
        self.last = deque[Tensor]()

    def forward(self, images: Tensor) -> Tensor:
        tables = self.kept[0]["tables"]
        if "last" not in tables:
            tables["last"] = torch.ones(images.shape[2], images.shape[3]) * 0.5
        self.last.append(images)
        return (images * tables["last"]).mean((2, 3))


def test_what_code_keeps_within_containers_is_taken_back() -> None:
    network = Nesting().eval()
    tracing.graph(network)
    tracing.graph_decided_by(EXAMPLE, network)
    assert not network.kept[0]["tables"]
    assert not network.last


class Drawing(nn.Module):
    """Draws the same numbers each time, as channels that are dropped for good."""

    def forward(self, images: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        kept = torch.rand(images.shape[1], generator=generator) > 0.5
        return (images * kept.view(1, -1, 1, 1)).mean((2, 3))


def test_a_source_of_numbers_begins_anew_in_each_call() -> None:
    network = Drawing().eval()
    graph = fx.GraphModule(network, tracing.graph_decided_by(EXAMPLE, network))
    for _ in range(2):
        assert torch.equal(graph(IMAGES), network(IMAGES))


class Overwriting(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        images[:, 0] = images[:, 0] * 2
        return images.mean((2, 3))


def test_an_example_is_left_as_it_is() -> None:
    example = EXAMPLE + 1
    tracing.graph_decided_by(example, Overwriting())
    assert torch.equal(example, EXAMPLE + 1)


class Kept(nn.Module):
    """A buffer is filled anew in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        self.last = images.mean((0, 2, 3))
        return images.mean((2, 3)) - self.last


def test_a_buffer_that_code_replaces_is_there_again() -> None:
    network = Kept()
    buffer = network.last
    tracing.graph(network, with_whole_parts=True)
    assert network.last is buffer
