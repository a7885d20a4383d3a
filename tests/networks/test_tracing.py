"""What calls what in a network that decides: by shapes it is found, by values it is refused."""

import copy

import cuts
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from slimline.errors import NetworkError
from slimline.networks import classifier, tracing
from slimline.pruning import cost, widths

EXAMPLES = {"grey": torch.zeros(2, 1, 28, 28), "colour": torch.zeros(2, 3, 32, 32)}


class Plain(nn.Module):
    """What all of these are without their decisions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.1)
        )
        self.body = nn.Sequential(
            nn.Conv2d(16, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 32, 3)
        )
        self.head = nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.head(self.maps(images).mean((2, 3)))
        return answer

    def maps(self, images: Tensor) -> Tensor:
        found: Tensor = self.body(self.stem(images))
        return found


class Refuses(Plain):
    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[2] == images.shape[3], "square"
        if images.dim() == 3:
            images = images.unsqueeze(0)
        return super().forward(images)


class Pads(Plain):
    def forward(self, images: Tensor) -> Tensor:
        height, _ = images.shape[-2:]
        if height % 5:
            images = functional.pad(images, (0, 0, 0, 5 - height % 5))
        return super().forward(images)


class Counts(Plain):
    def forward(self, images: Tensor) -> Tensor:
        maps = self.maps(images)
        middle = int(maps.shape[2] * 0.5)
        parts = [maps[:, :, :middle], maps[:, :, middle:]]
        answer: Tensor = self.head(sum(part.mean((2, 3)) for part in parts))
        return answer


class ByValue(Plain):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images / 255 if images.max() > 100 else images)


class Precise(Plain):
    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(device_type=images.device.type, enabled=False):
            return super().forward(images.float())


@pytest.mark.parametrize("data", EXAMPLES)
def test_layers_in_a_block_of_a_precision_are_pruned(data: str) -> None:
    network = Precise(EXAMPLES[data].shape[1])
    plan = cuts.plan(network, EXAMPLES[data], 1)
    assert [name for group in plan.groups for name in group.layers] == [
        "stem.0",
        "body.0",
        "body.3",
    ]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(EXAMPLES[data]).dtype is torch.float32
        assert network.head(torch.ones(1, 32)).dtype is torch.bfloat16


@pytest.mark.parametrize("data", EXAMPLES)
@pytest.mark.parametrize("kind", [Refuses, Pads, Counts])
@torch.no_grad()
def test_what_decides_by_shapes_is_pruned(kind: type[Plain], data: str) -> None:
    torch.manual_seed(0)
    example = EXAMPLES[data]
    images = torch.randn(3, *example.shape[1:])
    wide = kind(example.shape[1])
    for _ in range(2):
        wide(images)
    with pytest.raises(NetworkError, match="its forward decides by what it is given"):
        tracing.graph(wide, with_whole_parts=True)
    before = copy.deepcopy(wide.state_dict())
    narrow = copy.deepcopy(wide)
    plan = cuts.plan(narrow, example, 1)
    assert [*plan.groups[0].layers, *plan.groups[1].layers] == ["stem.0", "body.0"]
    for group in plan.groups:
        widths.remove_share(group, 0.4)
    predicted = plan.predict()
    stayed = plan.apply()
    assert cost.count(narrow, example).macs == predicted.macs
    assert all(torch.equal(before[name], each) for name, each in wide.state_dict().items())
    again = kind(example.shape[1])
    classifier.fit_shapes(
        again, {key: each.shape for key, each in narrow.state_dict().items()}, example
    )
    again.load_state_dict(narrow.state_dict())
    assert torch.equal(again.eval()(images), narrow.eval()(images))
    # The channels that went are 0 in the wide network.
    for name in ("stem.0", "stem.1", "body.0", "body.1", "body.3"):
        layer = wide.get_submodule(name)
        gone = [row for row in range(len(layer.weight)) if row not in stayed[name].tolist()]
        layer.weight[gone] = layer.bias[gone] = 0.0
    assert torch.allclose(narrow(images), wide.eval()(images), atol=1e-5)


def test_what_decides_by_values_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"ByValue: .* it looks at the values of an image"):
        cuts.plan(ByValue(3), EXAMPLES["colour"])


def test_nothing_of_a_network_is_changed_when_it_is_followed() -> None:
    network = Pads(3).train()
    before = copy.deepcopy(network.state_dict())
    tracing.graph_decided_by(EXAMPLES["colour"] + 1, network)
    assert network.training
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())
