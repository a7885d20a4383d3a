"""What `activation` exchanges, what it leaves, and that both are recorded."""

from pathlib import Path

import torch
import toy
from timm.layers import GELU, PReLU, Swish
from torch import Tensor, nn
from torch.nn import functional

from slimline.artifacts import model_folder
from slimline.networks import activations, classifier
from slimline.networks.settings import ModelParams

EXAMPLE = torch.zeros(2, 3, 4, 4)


class Calls(nn.Module):
    """Calls some activations as functions, for which no module stands."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.LeakyReLU()

    def forward(self, images: Tensor) -> Tensor:
        gate = torch.sigmoid(self.module(images))
        return functional.gelu(functional.relu(images)) * gate + torch.tanh(images)


def test_activations_of_torch_and_timm_are_exchanged_and_gates_are_none() -> None:
    network = nn.Sequential(
        nn.GELU(), GELU(), Swish(), PReLU(3), nn.PReLU(3), nn.ELU(), nn.Sigmoid(), nn.Hardsigmoid()
    )
    found = activations.exchange(network, "relu6")
    assert found == {"GELU": 2, "Swish": 1, "PReLU": 2, "ELU": 1}
    assert [type(each) for each in network] == [nn.ReLU6] * 6 + [nn.Sigmoid, nn.Hardsigmoid]


def test_rarer_activations_are_exchanged_or_named() -> None:
    network = nn.Sequential(nn.Tanh(), nn.Softsign(), nn.Threshold(0.1, 0), nn.Softshrink())
    assert sum(activations.exchange(network, "relu").values()) == 4
    assert {type(each) for each in network} == {nn.ReLU}


def test_one_module_in_many_places_is_exchanged_in_each_and_not_made_in_place() -> None:
    """Code may read again what went into an activation, as that of residual blocks does."""
    act = nn.SiLU()
    network = nn.Sequential(act, act, nn.SiLU(inplace=True))
    assert activations.exchange(network, "relu") == {"SiLU": 3}
    assert [type(each) for each in network] == [nn.ReLU] * 3
    assert [each.inplace for each in network] == [False, False, True]


def test_a_block_in_many_places_counts_once() -> None:
    block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.GELU())
    network = nn.Sequential(block, block)
    assert activations.exchange(network, "relu") == {"GELU": 1}
    assert type(network[1][1]) is nn.ReLU


def test_what_forward_calls_itself_is_named() -> None:
    network = Calls()
    activations.exchange(network, "relu")
    assert activations.called(network, EXAMPLE, "relu") == ["gelu", "tanh"]
    activations.exchange(network, "relu6")
    assert activations.called(network, EXAMPLE, "relu6") == ["relu", "gelu", "tanh"]


def test_model_json_says_what_was_exchanged(tmp_path: Path) -> None:
    split = toy.splits(tmp_path, validation_images=8)["validation"]
    settings = ModelParams(
        backbone="mobilenet_v3_small", pretrained="none", stem_stride="keep", stem_kernel="keep",
        activation="relu",
    )  # fmt: skip
    model = classifier.build(settings, split, tmp_path)
    content = model_folder.describe(model, data=split, settings=settings, parent=None)
    assert content["activations"] == {"exchanged": {"Hardswish": 19, "ReLU": 14}, "left": []}
    settings = settings.model_copy(update={"activation": "keep"})
    model = classifier.build(settings, split, tmp_path)
    content = model_folder.describe(model, data=split, settings=settings, parent=None)
    assert "activations" not in content
