"""What a network's graph is made of before it is quantized: the same answers in other forms."""

import entries
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.errors import NetworkError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.quantization import exported_graph, operators
from slimline.quantization.operators import BATCHNORM, CONVOLUTION, LINEAR

EXAMPLE = torch.zeros(2, 4, 8, 8)
IMAGES = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Standardised(nn.Conv2d):
    """A convolution whose weight is computed from another each time, as in NFNet."""

    def forward(self, images: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(images, weight, self.bias)


class StandardisedByBatchNorm(nn.Conv2d):
    """Another, as in timm's NF-RegNet and ResNetV2: each channel's weights are one batch."""

    def forward(self, images: Tensor) -> Tensor:
        rows, gain = self.weight.flatten(1)[None], torch.full((self.out_channels,), 0.5)
        weight = functional.batch_norm(rows, None, None, gain, training=True, momentum=0.0)
        return self._conv_forward(images, weight.reshape_as(self.weight), self.bias)


class StandardisedTwice(nn.Module):
    """One such convolution, called twice, which reads its weight several times to compute it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def standardised(self, images: Tensor) -> Tensor:
        own = self.conv.weight
        mean, deviation = own.mean((1, 2, 3), keepdim=True), own.std((1, 2, 3), keepdim=True)
        return functional.conv2d(images, (own - mean) / (deviation + 1e-5), self.conv.bias, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.standardised(self.standardised(images).relu())


class OfSequences(nn.Module):
    """Linear layers on [images, places, features], with BatchNorm on rows, as in LeViT."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        places = self.one(images.flatten(2).transpose(1, 2))
        rows = self.norm(places.flatten(0, 1)).reshape_as(places)
        return self.two(functional.gelu(rows)).mean(1)


class Twice(nn.Module):
    """A layer that is called twice, of which one call alone is normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(self.conv(images)))


class Shared(nn.Module):
    """A layer that is called twice with its BatchNorm, on maps of two sizes, as one of FPN."""

    def __init__(self, *, norms: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4) for _ in range(norms)])

    def forward(self, images: Tensor) -> Tensor:
        first = self.norms[0](self.conv(images)).relu()
        return self.norms[-1](self.conv(functional.max_pool2d(first, 2)))


class JoinedBias(nn.Module):
    """A layer whose bias is joined of others, as that of queries, keys and values in BEiT."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 256))
        self.one, self.other = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(8))

    def forward(self, images: Tensor) -> Tensor:
        bias = torch.cat([self.one, self.other])
        return functional.linear(images.flatten(1), self.weight, bias)


def test_what_is_computed_has_the_name_of_what_has_its_shape() -> None:
    weights = exported_graph.folded(JoinedBias().eval(), EXAMPLE).state_dict()
    assert {name: each.numel() for name, each in weights.items() if "one" in name} == {
        "one_computed": 12
    }


NETWORKS: dict[str, nn.Module] = {
    "behind a convolution": nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)),
    "in front": nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3)),
    "behind a GELU": nn.Sequential(nn.Conv2d(4, 6, 3), nn.GELU(), nn.BatchNorm2d(6)),
    "without weights": nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, affine=False)),
    "behind a linear layer": nn.Sequential(nn.Flatten(), nn.Linear(256, 6), nn.BatchNorm1d(6)),
    "of sequences": OfSequences(),
    "of a layer called twice": Twice(),
    "of a layer called twice with it": Shared(norms=1),
    "of a layer called twice with another": Shared(norms=2),
    "of a joined bias": JoinedBias(),
    "same padding": nn.Sequential(nn.Conv2d(4, 6, (4, 3), padding="same"), nn.BatchNorm2d(6)),
    "computed weight": nn.Sequential(Standardised(4, 6, 3), nn.BatchNorm2d(6)),
    "computed by a BatchNorm": nn.Sequential(StandardisedByBatchNorm(4, 6, 3), nn.ReLU()),
    "weight computed twice": nn.Sequential(StandardisedTwice(), nn.Conv2d(4, 6, 3)),
}


def trained(network: nn.Module) -> nn.Module:
    """Return a network whose BatchNorm has seen images, and is not what it began with."""
    torch.manual_seed(0)
    for each in network.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d) and each.affine:
            nn.init.uniform_(each.weight, 0.5, 2)
            nn.init.normal_(each.bias)
    network.train()
    for _ in range(3):
        network(torch.randn(8, 4, 8, 8))
    return network.eval()


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("case", NETWORKS)
def test_without_batchnorm_the_answers_are_the_same(case: str) -> None:
    network = trained(NETWORKS[case])
    folded = exported_graph.folded(network, EXAMPLE)
    assert not any(node.target is BATCHNORM for node in folded.graph.nodes)
    for images in (IMAGES, IMAGES[:1]):
        assert torch.allclose(folded(images), network(images), atol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("case", NETWORKS)
def test_each_layer_keeps_the_name_of_its_weight(case: str) -> None:
    names = [
        f"{name}.weight"
        for name, each in NETWORKS[case].named_modules()
        if isinstance(each, nn.Conv2d | nn.Linear)
    ]
    folded = exported_graph.folded(trained(NETWORKS[case]), EXAMPLE)
    assert set(names) <= set(dict(folded.named_parameters()))


@pytest.mark.parametrize("name", entries.ALL)
def test_of_every_backbone_each_layer_takes_its_batchnorm(name: str) -> None:
    torch.manual_seed(0)
    network = classifier.make(Architecture(name, 10, 1, 1, 3))
    for _ in range(3):
        network(torch.randn(8, 1, 28, 28))
    network.eval()
    images = torch.randn(4, 1, 28, 28)
    folded = exported_graph.folded(network, images[:2])
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    found = [node for node in folded.graph.nodes if node.target in {CONVOLUTION, LINEAR}]
    assert len(found) == len(layers)
    assert torch.allclose(folded(images), network(images), atol=1e-4)


def test_weights_keep_their_names() -> None:
    names = dict(exported_graph.folded(NETWORKS["in front"].eval(), EXAMPLE).named_parameters())
    assert list(names) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert names["0.weight"].shape == (4, 1, 1, 1), "a depthwise convolution"


def test_linear_layers_read_rows() -> None:
    folded = exported_graph.folded(NETWORKS["of sequences"].eval(), EXAMPLE)
    linear = [node for node in folded.graph.nodes if node.target is LINEAR]
    assert [tuple(node.meta["val"].shape)[1:] for node in linear] == [(6,), (3,)]


def test_the_original_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)).eval()
    weight = network[0].weight.detach().clone()
    assert isinstance(exported_graph.folded(network, EXAMPLE), fx.GraphModule)
    assert isinstance(network[1], nn.BatchNorm2d)
    assert torch.equal(network[0].weight, weight)


def test_what_depends_on_other_images_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    with pytest.raises(NetworkError, match="an image alone does not have"):
        exported_graph.folded(network, EXAMPLE)


class OfTwo(nn.Module):
    """Takes two images and no other number."""

    def forward(self, images: Tensor) -> Tensor:
        return images.reshape(2, -1)


def test_one_number_of_images_is_refused() -> None:
    with pytest.raises(NetworkError, match="OfTwo: its forward cannot be followed for any number"):
        exported_graph.of(OfTwo(), EXAMPLE)


class OfLength(nn.Module):
    """Asks for the number of images in a way that fixes it."""

    def forward(self, images: Tensor) -> Tensor:
        return images.reshape(len(images), -1)


def test_how_to_say_the_number_of_images_is_told() -> None:
    with pytest.raises(NetworkError, match=r"say their number as x\.size\(0\), not as len\(x\)"):
        exported_graph.of(OfLength(), EXAMPLE)


class Unstable(nn.Module):
    """What it answers hangs on the last bits of what it sees, as a very deep network's may."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.conv(images)).tanh()
        for _ in range(40):
            maps = 1 - 1.9 * maps * maps
        return self.head(maps.mean((2, 3)))


def test_what_rounding_does_to_a_network_is_asked_of_itself() -> None:
    network = trained(Unstable())
    folded = exported_graph.folded(network, EXAMPLE)
    assert not torch.allclose(folded(IMAGES), network(IMAGES), atol=1e-3)


def test_layers_that_are_padded_by_name_are_layers() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.Conv2d(8, 8, 3)).eval()
    for make in (exported_graph.of, exported_graph.folded):
        nodes = make(network, torch.zeros(2, 3, 8, 8)).graph.nodes
        assert sum(node.target in operators.WEIGHTED for node in nodes) == 2
