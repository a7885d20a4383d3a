import pytest
import torch
from torch import Tensor, nn

from slimline.quantization import qat
from slimline.training import memory_order


class Viewing(nn.Module):
    """Ends as much published code does, which fails where channels are last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8 * 36, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.conv(images)
        scores: Tensor = self.head(maps.view(maps.size(0), -1))
        return scores


class Filtering(nn.Module):
    """Reads its weights as complex numbers, as GFNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.filter, self.head = nn.Parameter(torch.randn(3, 8, 5, 2)), nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        waves = torch.fft.rfft2(images) * torch.view_as_complex(self.filter)
        scores: Tensor = self.head(torch.fft.irfft2(waves, images.shape[-2:]).amax((2, 3)))
        return scores


class OfVolumes(nn.Module):
    """Takes images for volumes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv3d(1, 8, 3), nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.conv(images.unsqueeze(1)).mean((2, 3, 4)))
        return scores


def ending_in(first: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(
        first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(first.out_channels, 2)
    )


@pytest.mark.parametrize(
    ("network", "order"),
    [
        (ending_in(nn.Conv2d(3, 8, 3, 2)), torch.channels_last),
        (ending_in(nn.Conv2d(3, 8, 1)), torch.channels_last),
        (ending_in(nn.Conv2d(3, 8, 1, 2)), torch.contiguous_format),
        (Viewing(), torch.contiguous_format),
        (Filtering(), torch.contiguous_format),
        (OfVolumes(), torch.contiguous_format),
    ],
)
def test_channels_are_last_where_they_can_be(
    network: nn.Module, order: torch.memory_format
) -> None:
    images = torch.randn(2, 3, 8, 8)
    assert memory_order.of(network.eval(), images) == order


@pytest.mark.parametrize("is_graph", [False, True])
def test_a_branch_that_leaves_out_pixels_can_be_trained(is_graph: bool) -> None:
    """RepVGG, MobileOne and FastViT killed the process: torch wrote beyond the end of memory."""
    images = torch.randn(8, 3, 64, 64)
    network: nn.Module = ending_in(nn.Conv2d(3, 48, 1, 2)).eval()
    if is_graph:
        network = qat.prepare(network, images[:2], weight_bits=8)
    order = memory_order.of(network, images[:2])
    network.to(memory_format=order)
    for _ in range(10):
        network(images.to(memory_format=order)).sum().backward()
    assert all(
        bool(each.grad.isfinite().all()) for each in network.parameters() if each.grad is not None
    )


def test_a_graph_that_reads_complex_numbers_is_run_as_they_lie() -> None:
    images = torch.randn(2, 3, 8, 8)
    prepared = qat.prepare(Filtering().eval(), images, weight_bits=8)
    order = memory_order.of(prepared, images)
    prepared.to(memory_format=order)
    assert prepared(images.to(memory_format=order)).shape == (2, 2)
