import pytest
import torch
from splitting import Mixed, Selective
from torch import Tensor, nn

from slimline.errors import NetworkError
from slimline.networks import tracing
from slimline.networks.architecture import Architecture, Backbone
from slimline.pruning import split_widths
from slimline.pruning.keepers import TooNarrowError
from slimline.pruning.split_widths import SplitWidth

EVEN = SplitWidth("m", "width", 32, (16, 16))


class Twice(nn.Module):
    """A split that an attribute decides, one by the shape, one written into the code."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.half, self.flag = Mixed(), 4, True

    def forward(self, images: Tensor) -> Tensor:
        by_shape = images.split(images.shape[1] // 2, 1)
        own = images.split(split_size=self.half, dim=1)
        return self.inner(torch.split(images, 3, 1)[0]) + by_shape[0] + own[0]


def found(network: nn.Module) -> list[SplitWidth]:
    return list(split_widths.find(network, tracing.graph(network)).values())


def test_the_attribute_that_decides_a_split_is_found() -> None:
    assert found(Mixed()) == [SplitWidth("", "splits", (20, 12))]
    assert found(Selective()) == [SplitWidth("", "channels", 32)]
    assert found(Twice()) == [
        SplitWidth("", "half", 4),
        SplitWidth("inner", "splits", (20, 12)),
    ]


def test_nothing_is_changed_by_looking() -> None:
    network = Twice()
    found(network)
    assert (network.half, network.inner.splits) == (4, [20, 12])


@pytest.mark.parametrize(
    ("split", "total", "value", "parts"),
    [
        (EVEN, 20, 20, (10, 10)),
        (SplitWidth("m", "half", 16, (16, 16)), 20, 10, (10, 10)),
        (SplitWidth("m", "splits", (20, 12), (20, 12)), 15, (9, 6), (9, 6)),
        (SplitWidth("m", "splits", (30, 1, 1), (30, 1, 1)), 8, (6, 1, 1), (6, 1, 1)),
    ],
)
def test_each_part_has_its_share(
    split: SplitWidth, total: int, value: object, parts: tuple[int, ...]
) -> None:
    narrow = split.fitted(total)
    assert (narrow.value, narrow.parts) == (value, parts)
    assert sum(parts) == total


def test_what_cannot_be_split_is_refused() -> None:
    assert EVEN.unit == 2
    with pytest.raises(ValueError, match="21 channels cannot be split"):
        EVEN.fitted(21)
    with pytest.raises(ValueError, match="1 channels cannot be split"):
        SplitWidth("m", "splits", (20, 12), (20, 12)).fitted(1)
    assert SplitWidth("m", "splits", (20, 12)).of((20, 11)) is None
    with pytest.raises(TooNarrowError):
        split_widths.collected({"a": EVEN, "b": EVEN.fitted(20)})


def test_an_architecture_says_them_and_is_built_with_them() -> None:
    entry = Backbone(lambda _: Mixed(), "a", "head.", ("norm",), None, is_found=True)
    plain = Architecture("own.mine:build", 5, 3, 1, 1)
    assert "split_widths" not in plain.to_dict()
    cut = Architecture("own.mine:build", 5, 3, 1, 1, split_widths={"": {"splits": [9, 6]}})
    assert cut.to_dict()["split_widths"] == {"": {"splits": [9, 6]}}
    assert entry.make(cut).splits == [9, 6]
    wrong = Architecture("own.mine:build", 5, 3, 1, 1, split_widths={"b": {"splits": [9, 6]}})
    with pytest.raises(NetworkError, match=r"has no b\.splits"):
        entry.make(wrong)
