"""What `forward` changes in place, whole or in part: the same answers, and bytes all the way."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from slimline.errors import NetworkError
from slimline.quantization import exported_graph, qat
from slimline.quantization.operators import CONCATENATION, CONVOLUTION

EXAMPLE = torch.zeros(2, 4, 8, 8)
IMAGES = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))

Way = Callable[[Tensor], Tensor]


class Between(nn.Module):
    """Two convolutions, and between them a way to change maps, [images, 8, 8, 8], in place."""

    def __init__(self, way: Way) -> None:
        super().__init__()
        self.way = way
        self.first, self.last = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.way(self.first(images))).mean((2, 3))


def shifted(maps: Tensor) -> Tensor:
    """As ShiftViT and S2-MLP move a part of the channels each way."""
    moved = torch.zeros_like(maps)
    moved[:, :3, 1:] = maps[:, :3, :-1]
    moved[:, 3:6, :, :-1] = maps[:, 3:6, :, 1:]
    moved[:, 6:] = maps[:, 6:]
    return moved


def activated(maps: Tensor) -> Tensor:
    maps[:, :4].relu_()
    return maps


def of_others(maps: Tensor) -> Tensor:
    maps[:, -3:-1] = maps.mean(1, keepdim=True)
    maps[:, 2] *= maps[:, 3]
    return maps


def zeroed(maps: Tensor) -> Tensor:
    maps[:, :2] = 0
    maps[:, 7].zero_()
    maps.narrow(2, 1, 3).fill_(0.5)
    return maps


def read_before(maps: Tensor) -> Tensor:
    """Views that were made before a change show it, of a part and of all."""
    rows, half = maps.flatten(2), maps[:, :4]
    maps[:, 2:6].relu_()
    half += 1
    return rows.view_as(maps) + torch.cat([half, half], 1)


def read_after_all(maps: Tensor) -> Tensor:
    part = maps[:, 1:3]
    maps.relu_()
    return maps * part.mean((1, 2, 3), keepdim=True)


def turned(maps: Tensor) -> Tensor:
    maps.transpose(2, 3)[:, :, 0] = 1
    maps.permute(2, 3, 0, 1)[1:3, ..., 2].mul_(2)
    return maps


def masked(maps: Tensor) -> Tensor:
    """As large as there are images, so that it is no table."""
    mask = maps.new_zeros(maps.shape[0], 1, 8, 8)
    mask[:, :, 2:-2, 2:-2] = 1
    return maps * mask


def of_a_table(maps: Tensor) -> Tensor:
    """As torchvision's Swin writes its mask."""
    mask = maps.new_zeros(8, 8)
    mask[2:4, :5] = 3
    mask[2:4, 1:2] += mask[4:6, 1:2] + 1
    return maps * mask


def every_other(maps: Tensor) -> Tensor:
    maps[:, ::2] = maps[:, 1::2]
    return maps


def written_whole(maps: Tensor) -> Tensor:
    """What is written whole is another value than what it was written from."""
    other = torch.empty_like(maps)
    other.copy_(maps)
    other[:, :1, :1, :2] = 0
    other += 1.5
    again = torch.zeros_like(maps)
    again[:] = maps[0, :, :1, :1]
    return functional.relu(other, inplace=True) + maps + functional.relu(again, inplace=True)


def pooled_before(maps: Tensor) -> Tensor:
    """What copies does not change with what it was made of."""
    least = maps.transpose(2, 3).contiguous() + functional.max_pool2d(maps, 3, 1, 1)
    least = least + maps.amax(1, keepdim=True) + maps.permute(0, 3, 2, 1).reshape(maps.shape)
    maps[:, :1, :1] = 0
    return maps + least


def through_views(maps: Tensor) -> Tensor:
    maps.swapaxes(2, 3)[:, :3] = 0
    maps.unflatten(1, (2, 4))[:, 0] += 1
    maps[:, :1].squeeze((1,)).mul_(2)
    maps.view_as(maps)[:, 2].relu_()
    functional.dropout(maps, training=False)[:, 5] = 3
    return maps


def of_all_images(maps: Tensor) -> Tensor:
    count = maps.size(0)
    maps[:count, 1:3] += maps[:count, 4:6]
    return maps


def joined(maps: Tensor) -> Tensor:
    return torch.cat([maps[:, :4].relu_(), maps[:, 4:]], 1)


WAYS: list[Way] = [
    shifted, activated, of_others, zeroed, read_before, read_after_all, turned, masked,
    of_a_table, every_other, joined, written_whole, pooled_before, through_views, of_all_images,
]  # fmt: skip


def made(way: Way) -> nn.Module:
    torch.manual_seed(0)
    return Between(way).eval()


def of_the_first(maps: Tensor) -> Tensor:
    maps[:1].relu_()
    return maps


@pytest.mark.parametrize("way", WAYS)
def test_answers_stay_for_any_number_of_images(way: Way) -> None:
    network = made(way)
    graph = exported_graph.folded(network, EXAMPLE)
    for images in (IMAGES, IMAGES[:1]):
        assert torch.allclose(graph(images), network(images), atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_read_rounded_is_changed(way: Way) -> None:
    network = made(way)
    prepared = qat.prepare(network, EXAMPLE, weight_bits=8)
    prepared(IMAGES)
    qat.freeze_ranges(prepared)
    with torch.no_grad():
        expected, found = network(IMAGES), prepared(IMAGES)
    # Roundings add up; what was lost would be as large as the values themselves.
    assert float((found - expected).abs().mean()) < 0.05 * float(expected.std())


def test_parts_are_joined() -> None:
    graph = exported_graph.folded(made(shifted), EXAMPLE)
    joins = [each for each in graph.graph.nodes if each.target is CONCATENATION]
    assert [each.args[1] for each in joins] == [2, 1, 3, 1, 1], "places, channels, and so on"
    assert not any("copy" in str(each.target) for each in graph.graph.nodes)


def test_a_part_that_cannot_be_put_back_is_refused() -> None:
    with pytest.raises(NetworkError, match="changes a part of a value in place"):
        qat.prepare(made(of_the_first), EXAMPLE, weight_bits=8)


class Activations(nn.Module):
    """Changes in place what is read again, as blocks that begin with their activation do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(4, 6, 1), nn.Conv2d(6, 6, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        inner = self.conv(functional.relu(maps, inplace=True))
        inner += maps
        return inner * 2 + maps


def test_what_is_read_again_is_read_changed() -> None:
    network = Activations().eval()
    graph = exported_graph.folded(network, EXAMPLE)
    assert torch.allclose(graph(IMAGES), network(IMAGES), atol=1e-5)
    (relu,) = (each for each in graph.graph.nodes if "relu" in str(each.target))
    (conv, _) = (each for each in graph.graph.nodes if each.target is CONVOLUTION)
    assert len(relu.users) == 3, "the convolution and both sums"
    assert list(conv.users) == [relu]
    assert not any(str(each.target).startswith("aten.add_") for each in graph.graph.nodes)


def test_an_activation_that_alone_reads_a_value_saves_its_memory() -> None:
    layers = [nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)]
    graph = exported_graph.folded(nn.Sequential(*layers).eval(), EXAMPLE)
    assert any(str(each.target) == "aten.relu_.default" for each in graph.graph.nodes)
