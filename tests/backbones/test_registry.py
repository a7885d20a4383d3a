import pytest
import torch
import torchvision
import toy

from slimline.backbones import REGISTRY, Architecture, shufflenet_v2
from slimline.core import classifier, data, recipe
from slimline.core.errors import ParamsError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", REGISTRY)
def test_each_entry_answers_for_its_classes(name: str, channels: int) -> None:
    architecture = Architecture(name, 7, channels, stem_stride=1, stem_kernel=3)
    network = classifier.make(architecture).eval()
    assert network(torch.zeros(2, channels, 28, 28)).shape == (2, 7)
    stem = network.get_submodule(REGISTRY[name].stem)
    assert stem.stride == (1, 1)
    heads = [key for key, _ in network.named_parameters() if key.startswith(REGISTRY[name].head)]
    assert heads


@pytest.fixture
def split(tmp_path):
    toy.make_data(tmp_path / "toy")
    from slimline.core import datasets

    settings = datasets.DataParams(
        source="toy", image_size=28, validation_images=200, calibration_images=100
    )
    return datasets.prepare(tmp_path, settings, seed=1)["train"]


def model_params(backbone: str) -> recipe.ModelParams:
    return recipe.ModelParams(backbone=backbone, stem_stride=1, stem_kernel=3)


def test_packaged_weights_bring_their_normalisation_and_licence(split: data.Split) -> None:
    torch.manual_seed(0)
    model = classifier.build(model_params("efficientnet_lite0"), split, pretrained="imagenet")
    assert model.preprocessing.std == (128 / 255,)
    assert model.pretrained is not None
    assert model.pretrained["licence"] == "Apache-2.0"
    weights = REGISTRY["efficientnet_lite0"].imagenet
    assert weights is not None
    tensors = weights.load()
    own = model.network.state_dict()
    assert torch.equal(own["conv_stem.weight"], tensors["conv_stem.weight"].sum(1, keepdim=True))
    assert torch.equal(own["blocks.2.0.bn2.running_mean"], tensors["blocks.2.0.bn2.running_mean"])
    assert own["classifier.weight"].shape == (10, 1280)


def test_a_backbone_without_packaged_weights_says_which_have_them(split: data.Split) -> None:
    with pytest.raises(ParamsError, match="these have: efficientnet_lite0"):
        classifier.build(model_params("resnet18"), split, pretrained="imagenet")


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "shufflenet_v2_x1_0"])
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
    graph = classifier.trace(network).graph
    moves = {node.target for node in graph.nodes if node.op in {"call_function", "call_method"}}
    assert not moves & {"view", "reshape", "transpose", torch.transpose, "chunk"}
