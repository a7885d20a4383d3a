from pathlib import Path

import entries
import pytest
import timm
import torch
import torchvision
import toy
from pydantic import ValidationError

from slimline.networks import classifier, tracing
from slimline.networks.architecture import Architecture
from slimline.networks.families import shufflenet_v2
from slimline.networks.registry import REGISTRY
from slimline.networks.settings import ModelParams


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", entries.ALL)
def test_each_entry_answers_for_its_classes(name: str, channels: int) -> None:
    architecture = Architecture(name, 7, channels, stem_stride=1, stem_kernel=3)
    network = classifier.make(architecture).eval()
    assert network(torch.zeros(2, channels, 28, 28)).shape == (2, 7)
    stem = network.get_submodule(REGISTRY[name].stem)
    assert stem.stride == (1, 1)
    heads = [key for key, _ in network.named_parameters() if key.startswith(REGISTRY[name].head)]
    assert heads


@pytest.mark.parametrize("name", list(REGISTRY))
def test_stages_are_parts_of_the_network_in_its_order(name: str) -> None:
    parameters = [key for key, _ in REGISTRY[name].publish(10).named_parameters()]
    starts = [
        next(place for place, key in enumerate(parameters) if key.startswith(f"{stage}."))
        for stage in REGISTRY[name].stages
    ]
    assert starts == sorted(starts)
    assert parameters[0] == f"{REGISTRY[name].stem}.weight"
    head = next(
        place for place, key in enumerate(parameters) if key.startswith(REGISTRY[name].head)
    )
    assert head > starts[-1]


def test_resnet10_is_torchvisions_resnet_with_one_block_a_stage() -> None:
    blocks = torchvision.models.resnet
    theirs = blocks.ResNet(blocks.BasicBlock, [1, 1, 1, 1], num_classes=7).eval()
    ours = REGISTRY["resnet10"].publish(7).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(images), theirs(images))


def test_resnet8_has_three_stages_that_double_the_width() -> None:
    network = REGISTRY["resnet8_w48"].publish(10)
    widths = [network.get_submodule(f"layer{n}.0.conv2").out_channels for n in (1, 2, 3)]
    assert widths == [48, 96, 192]
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_downloaded_weights_of_lite3_are_named_as_ours() -> None:
    theirs = timm.create_model("tf_efficientnet_lite3").state_dict()
    ours = REGISTRY["efficientnet_lite3"].publish(1000).state_dict()
    assert {key: each.shape for key, each in theirs.items()} == {
        key: each.shape for key, each in ours.items()
    }


def test_weights_bring_their_normalisation_and_licence(tmp_path: Path) -> None:
    split = toy.splits(tmp_path)["train"]
    settings = ModelParams(
        backbone="efficientnet_lite0",
        pretrained="imagenet",
        stem_stride=1,
        stem_kernel=3,
        activation="keep",
    )
    model = classifier.build(settings, split, tmp_path)
    assert model.preprocessing.std == (128 / 255,)
    assert model.pretrained is not None
    assert model.pretrained["licence"] == "Apache-2.0"
    assert list(model.pretrained["resized"]) == ["conv_stem.weight"]


@pytest.mark.parametrize("name", [name for name in REGISTRY if name.startswith("shufflenet")])
def test_shufflenet_without_shuffles_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(num_classes=10)
    for _ in range(2):
        network(torch.randn(8, 3, 64, 64))
    network.eval()
    images = torch.randn(4, 3, 64, 64)
    expected = network(images)
    shufflenet_v2.work_out_shuffles(network)
    assert torch.allclose(network(images), expected, atol=1e-5)
    graph = tracing.trace(network).graph
    moves = {node.target for node in graph.nodes if node.op in {"call_function", "call_method"}}
    assert not moves & {"view", "reshape", "transpose", torch.transpose, "chunk"}


def test_imagenet_is_refused_where_nobody_publishes_weights() -> None:
    with pytest.raises(ValidationError, match="nobody publishes weights of resnet10"):
        ModelParams(
            backbone="resnet10",
            pretrained="imagenet",
            stem_stride=1,
            stem_kernel=3,
            activation="keep",
        )
