"""What multiplies by weights and is no layer that can be pruned."""

import cuts
import torch
from torch import Tensor, nn
from torch.nn import functional

from slimline.pruning import cost

EXAMPLE = torch.zeros(2, 3, 8, 8)


class Handmade(nn.Module):
    """Convolutions by hand and transposed, a recurrent layer, products, an answer by angles."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.up = nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 4, 2, 2)
        self.kernel = nn.Parameter(torch.randn(8, 4, 3, 3))
        self.register_buffer("blur", torch.ones(8, 1, 3, 3))
        self.narrow, self.read = nn.Conv2d(8, 6, 1), nn.GRU(6, 5, batch_first=True)
        self.mix, self.directions = nn.Parameter(torch.randn(5, 7)), nn.Parameter(torch.randn(2, 7))

    def forward(self, images: Tensor) -> Tensor:
        x = functional.conv2d(self.up(self.a(images)), self.kernel, stride=2, padding=1)
        x = functional.conv2d(x, self.blur, stride=2, padding=1, groups=8)
        x, _ = self.read(self.narrow(x).flatten(2).transpose(1, 2))
        x = (x @ x.transpose(1, 2) @ x).mean(1) @ self.mix
        return functional.linear(x, functional.normalize(self.directions))


def test_it_is_counted_as_worked_out_by_hand() -> None:
    found = cost.count(Handmade().eval(), EXAMPLE)
    assert [(work.name, work.macs) for work in found.fixed] == [
        ("up", 8 * 8 * 8 * 4 * 2 * 2),
        ("kernel", 8 * 8 * 8 * 4 * 3 * 3),
        ("blur", 4 * 4 * 8 * 3 * 3),
        ("read", 4 * 4 * 3 * 5 * (6 + 5)),
        ("mix", 5 * 7),
        ("directions", 7 * 2),
    ]
    assert [layer.macs for layer in found.layers] == [8 * 8 * 3 * 8, 4 * 4 * 8 * 6]
    fixed, layers = sum(work.macs for work in found.fixed), sum(each.macs for each in found.layers)
    assert found.macs == fixed + layers


class Sums(nn.Module):
    """Weights by `einsum`, in some of its forms, and a product of two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(8, 3)), nn.Parameter(torch.randn(8, 4))
        self.scale, self.mix = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(4, 5))

    def forward(self, images: Tensor) -> Tensor:
        x = torch.einsum("bchw,oc->bohw", images, self.a)
        x = torch.einsum("co, b c... -> bo...", self.b, x)
        x = torch.einsum("bc...,c->b...c", x, self.scale).flatten(1, 2)
        x = torch.einsum("bic,bjc->bij", x, x) @ x
        return torch.einsum("btc,cd", x, self.mix).sum((0, 1))[None]


def test_sums_by_einsum_are_counted() -> None:
    found = cost.count(Sums().eval(), EXAMPLE)
    assert [(work.name, work.macs) for work in found.fixed] == [
        ("a", 64 * 8 * 3),
        ("b", 64 * 8 * 4),
        ("scale", 64 * 4),
        ("mix", 64 * 4 * 5),
    ]


def test_it_is_named_among_what_stays_whole() -> None:
    network = Handmade().eval()
    assert cuts.names_of_whole(cuts.plan(network, EXAMPLE)) == [
        "a",
        "up",
        "kernel",
        "blur",
        "narrow",
        "read",
        "mix",
    ]
    network.mix = nn.Parameter(torch.randn(5, 2))
    network.directions = nn.Parameter(torch.randn(1, 2))
    whole = cuts.names_of_whole(cuts.plan(network, EXAMPLE))
    assert whole == ["a", "up", "kernel", "blur", "narrow", "read"]


def test_what_is_predicted_has_it() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 8, 1), nn.Linear(8, 5)
            self.kernel = nn.Parameter(torch.randn(8, 8, 3, 3))

        def forward(self, images: Tensor) -> Tensor:
            x = functional.conv2d(self.b(self.a(images)), self.kernel)
            return self.head(x.mean((2, 3)))

    network = Beside().eval()
    plan = cuts.plan(network, EXAMPLE)
    plan.groups[0].width = 8
    predicted = plan.predict()
    plan.apply()
    assert network.a.out_channels == 8
    assert cost.count(network, EXAMPLE).macs == predicted.macs > 6 * 6 * 8 * 8 * 3 * 3


def test_weights_of_layers_are_left_to_the_layers() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            return functional.conv2d(input, self.weight / self.weight.std(), self.bias)

    parametrized = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 4, 1))
    network = nn.Sequential(Standardised(3, 8, 3), parametrized).eval()
    found = cost.count(network, EXAMPLE)
    assert found.fixed == []
    assert [layer.name for layer in found.layers] == ["0", "1"]
