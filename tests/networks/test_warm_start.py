"""Yesterday's model folder as the weights to begin with."""

import dataclasses
from pathlib import Path

import cuts
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from slimline import files
from slimline.artifacts import model_folder
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import PretrainedError
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams

CLASSES = ["bag", "coat", "shirt"]
FRAME = Preprocessing(28, 28, 1, (0.3,), (0.2,))
IMAGES = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(5))


def split(classes: list[str] = CLASSES, channels: int = 1) -> Split:
    frame = dataclasses.replace(FRAME, channels=channels, mean=(0.4,) * channels)
    frame = dataclasses.replace(frame, std=(0.2,) * channels)
    return Split(np.zeros((2, 28, 28, channels), np.uint8), np.arange(2), classes, frame)


def settings(**changes: object) -> ModelParams:
    return ModelParams(
        **{
            "backbone": "shufflenet_v2_x0_5", "pretrained": "yesterday", "stem_stride": "keep",
            "stem_kernel": "keep", "activation": "keep", **changes,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Path]:
    """A pruned ShuffleNetV2 in our own form, saved as stage prune saves it."""
    root = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    fresh = settings(pretrained="none", stem_stride=1)
    model = classifier.build(fresh, split(), root)
    cuts.cut(model.network, model.example, 0.3, multiple=8)
    model_folder.save(root / "yesterday", model, data=split(), settings=fresh, with_onnx=False)
    return model, root


def answers(network: nn.Module, images: torch.Tensor = IMAGES) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(images)


def test_it_is_used_as_it_is(yesterday: tuple[Classifier, Path]) -> None:
    old, root = yesterday
    model = classifier.build(settings(), split(), root, unchanged=True)
    assert torch.equal(answers(model.network), answers(old.network))
    assert model.preprocessing == old.preprocessing
    assert model.architecture == old.architecture
    assert model.pretrained is not None
    assert model.pretrained["source"].startswith("a model folder of Slimline, yesterday (")


def test_classes_in_another_order(yesterday: tuple[Classifier, Path]) -> None:
    old, root = yesterday
    model = classifier.build(settings(), split(["shirt", "bag", "coat"]), root, unchanged=True)
    assert torch.equal(answers(model.network), answers(old.network)[:, [2, 0, 1]])


def test_more_classes(yesterday: tuple[Classifier, Path]) -> None:
    old, root = yesterday
    more = split([*CLASSES, "boot"])
    with pytest.raises(PretrainedError, match="only the data boot"):
        classifier.build(settings(), more, root, unchanged=True)
    model = classifier.build(settings(), more, root)
    assert answers(model.network).shape == (2, 4)
    assert model.architecture.num_classes == 4
    assert model.pretrained is not None
    assert model.pretrained["random"] == ["fc.weight", "fc.bias"]
    kept = model.network.state_dict()
    for name, tensor in old.network.state_dict().items():
        assert name.startswith("fc.") or torch.equal(tensor, kept[name])


def test_grey_becomes_colour(yesterday: tuple[Classifier, Path]) -> None:
    old, root = yesterday
    model = classifier.build(settings(), split(channels=3), root)
    assert model.preprocessing.mean == old.preprocessing.mean * 3
    grey = answers(old.network)
    assert torch.allclose(answers(model.network, IMAGES.expand(-1, 3, -1, -1)), grey, atol=1e-4)


def test_what_comes_out_is_a_model_folder_like_any(
    yesterday: tuple[Classifier, Path], tmp_path: Path
) -> None:
    _, root = yesterday
    model = classifier.build(settings(), split([*CLASSES, "boot"], channels=3), root)
    model_folder.save(tmp_path / "m", model, data=split(), settings=settings(), with_onnx=False)
    again = model_folder.load(tmp_path / "m")
    images = IMAGES.expand(-1, 3, -1, -1)
    assert torch.equal(answers(again.network, images), answers(model.network, images))


def test_more_classes_for_a_convolution_as_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = settings(backbone="torchvision:squeezenet1_1", pretrained="none")
    old = classifier.build(fresh, split(), tmp_path)
    model_folder.save(tmp_path / "yesterday", old, data=split(), settings=fresh, with_onnx=False)
    again = settings(backbone="torchvision:squeezenet1_1")
    model = classifier.build(again, split([*CLASSES, "boot"]), tmp_path)
    assert answers(model.network).shape == (2, 4)
    assert model.pretrained is not None
    assert model.pretrained["random"] == ["classifier.1.weight", "classifier.1.bias"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbone": "resnet18"}, "of backbone shufflenet_v2_x0_5, params.yaml says resnet18"),
        ({"stem_stride": 2}, "of stem_stride 1, params.yaml says 2; write 1"),
    ],
)
def test_another_network_is_refused(
    changes: dict[str, object], told: str, yesterday: tuple[Classifier, Path]
) -> None:
    with pytest.raises(PretrainedError, match=told):
        classifier.build(settings(**changes), split(), yesterday[1])


def test_a_folder_of_qat_is_refused(yesterday: tuple[Classifier, Path], tmp_path: Path) -> None:
    """Its BatchNorm is folded and its tensors have the names of a graph."""
    source, folder = yesterday[1] / "yesterday", tmp_path / "yesterday"
    folder.mkdir()
    files.write_json(folder / "model.json", files.read_json(source / "model.json"))
    tensors = load_file(source / "weights.safetensors")
    folded = {name: each for name, each in tensors.items() if "conv5.1" not in name}
    save_file(folded | {"scale_0": torch.ones(1)}, folder / "weights.safetensors")
    with pytest.raises(PretrainedError, match="cannot be trained further"):
        classifier.build(settings(), split(), tmp_path)
