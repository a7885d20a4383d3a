import copy

import pytest
import torch
from torch import Tensor, nn

from slimline.quantization import equalisation, folded_modules, qat

IMAGES = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """A chain whose middle channels reach very differently far, and a branch that must stay."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.depthwise = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8)
        self.two, self.three = nn.Conv2d(8, 6, 1), nn.Conv2d(6, 6, 1)
        self.act, self.head = activation(), nn.Linear(6, 4)
        for factor, channel in ((1024.0, 1), (1 / 512, 2)):
            self.one.weight.data[channel] *= factor
            self.one.bias.data[channel] *= factor
            self.depthwise.weight.data[channel] /= factor
        self.two.weight.data[:, 5] = 0

    def forward(self, images: Tensor) -> Tensor:
        first = self.act(self.two(self.act(self.depthwise(self.act(self.one(images))))))
        return self.head((first + self.three(first)).mean([2, 3]))


def test_the_answers_are_the_same_to_the_bit_and_channels_reach_as_far() -> None:
    network = Network().eval()
    expected = network(IMAGES)
    folded = folded_modules.fold(network)
    assert equalisation.equalise(folded) == ["one", "depthwise"]
    assert torch.equal(folded(IMAGES), expected)
    reach = folded.get_submodule("one")(IMAGES).detach().abs().amax((0, 2, 3))
    assert float(reach.max() / reach.min()) < 50
    assert equalisation.equalise(folded) == ["one", "depthwise"]
    assert torch.equal(folded(IMAGES), expected)


def test_what_is_cut_off_at_six_is_left() -> None:
    """ReLU6 keeps no proportions."""
    folded = folded_modules.fold(Network(nn.ReLU6).eval())
    before = copy.deepcopy(folded.state_dict())
    assert equalisation.equalise(folded) == []
    assert all(torch.equal(each, before[name]) for name, each in folded.state_dict().items())


@pytest.mark.parametrize("equalise", [False, True])
def test_int8_loses_less(equalise: bool) -> None:
    network = Network().eval()
    prepared = qat.prepare(network, IMAGES[:2], weight_bits=8, equalise=equalise)
    prepared(IMAGES)
    qat.finish(prepared)
    with torch.no_grad():
        expected = network(IMAGES)
        error = float((prepared(IMAGES) - expected).abs().max() / expected.std())
    assert (error < 0.1) == equalise


class Standardised(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(images, weight, self.bias, self.stride, self.padding)


def far(layer: nn.Conv2d) -> nn.Conv2d:
    """Let its first channel reach 64 times as far as the others."""
    layer.weight.data[0] *= 64
    return layer


def tied() -> nn.Sequential:
    one, two, three = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    three.weight = two.weight
    return nn.Sequential(far(one), nn.ReLU(), two, nn.ReLU(), three)


ODD = {
    "shared weight": tied,
    "computed weight": lambda: nn.Sequential(
        far(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))), nn.Conv2d(8, 8, 3)
    ),
    "a class of its own": lambda: nn.Sequential(far(Standardised(3, 8, 3)), nn.Conv2d(8, 8, 3)),
    "rows": lambda: nn.Sequential(far(nn.Conv2d(3, 6, 3)), nn.ReLU(), nn.Linear(6, 4)),
    "statistics of the batch": lambda: nn.Sequential(
        far(nn.Conv2d(3, 8, 3)), nn.BatchNorm2d(8, track_running_stats=False), nn.Conv2d(8, 8, 3)
    ),
    "a class of its own before BatchNorm": lambda: nn.Sequential(
        Standardised(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3)
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_what_would_change_the_network_is_left(case: str) -> None:
    torch.manual_seed(0)
    network = ODD[case]().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            nn.init.uniform_(module.running_var, 0.2, 9.0)
    expected = network(IMAGES)
    folded = folded_modules.fold(network)
    equalisation.equalise(folded)
    assert torch.allclose(folded(IMAGES), expected, rtol=1e-5, atol=1e-6)
