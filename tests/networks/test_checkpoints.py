"""Checkpoints as people have them, into a folder of their own, through the whole of `build`."""

import json
from pathlib import Path

import checkpoints
import numpy as np
import pytest
import torch
import torchvision
from checkpoints import BAD, CLASSES, GOOD, Maker
from torch import nn

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import PretrainedError
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams

SPLIT = Split(
    np.zeros((2, 32, 32, 3), np.uint8), np.arange(2), CLASSES,
    Preprocessing(32, 32, 3, (0.3,) * 3, (0.2,) * 3),
)  # fmt: skip
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return checkpoints.network()


def settings(**changes: object) -> ModelParams:
    return ModelParams(
        **{
            "backbone": checkpoints.BACKBONE, "pretrained": "mine", "stem_stride": "keep",
            "stem_kernel": "keep", "activation": "keep", **changes,
        }
    )  # fmt: skip


def write(root: Path, maker: Maker, model: nn.Module, **notes: object) -> Path:
    """Write a checkpoint and its notes into a folder of its own."""
    folder = root / "mine"
    folder.mkdir()
    maker(folder, model)
    path = folder / "mine.json"
    said = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({"mean": MEAN, "std": STD} | said | notes))
    return folder


def build(root: Path, *, split: Split = SPLIT, unchanged: bool = True, **changes: object):
    return classifier.build(settings(**changes), split, root, unchanged=unchanged)


def answers(model: Classifier | nn.Module) -> torch.Tensor:
    network = model.network if isinstance(model, Classifier) else model
    with torch.no_grad():
        return network.eval()(IMAGES)


def refusal(root: Path, **how: object) -> str:
    with pytest.raises(PretrainedError) as refused:
        build(root, **how)
    told = str(refused.value)
    assert "\x1b" not in told
    assert "weights_only" not in told
    assert "\n" not in told
    return told


@pytest.mark.parametrize("name", GOOD)
def test_a_checkpoint_is_used_as_it_is(name: str, tmp_path: Path, original: nn.Module) -> None:
    write(tmp_path, GOOD[name], original)
    model = build(tmp_path)
    assert torch.allclose(answers(model), answers(original), atol=1e-4)
    assert (model.preprocessing.mean, model.preprocessing.std) == (tuple(MEAN), tuple(STD))
    assert list(model.classes) == CLASSES


@pytest.mark.parametrize("name", BAD)
def test_what_is_none_is_told_in_our_words(name: str, tmp_path: Path, original: nn.Module) -> None:
    maker, told = BAD[name]
    write(tmp_path, maker, original)
    assert told in refusal(tmp_path)


def test_half_precision_is_widened(tmp_path: Path, original: nn.Module) -> None:
    half = {
        name: each.half() if each.is_floating_point() else each
        for name, each in original.state_dict().items()
    }
    write(tmp_path, lambda folder, _: torch.save(half, folder / "mine.pth"), original)
    model = build(tmp_path)
    assert {each.dtype for each in model.network.parameters()} == {torch.float32}
    assert torch.allclose(answers(model), answers(original), atol=0.05)


def test_an_average_beside_the_weights_is_told_of(
    tmp_path: Path, original: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, GOOD["torchvision's reference script"], original)
    build(tmp_path)
    told = capsys.readouterr().out
    assert "weights are taken from 'model'; there are also 'model_ema'" in told
    assert '{"take": "model_ema"}' in told


ANOTHER = {
    "resnet34 as resnet18": ("resnet34", "resnet18", "has 16 that"),
    "resnet50 as resnet18": ("resnet50", "resnet18", "fills"),
    "resnet34 as resnet50": ("resnet34", "resnet50", "fills"),
    "resnet18 as resnet34": ("resnet18", "resnet34", "fills 20 of the 36"),
    "shufflenet x1.0 as x0.5": ("shufflenet_v2_x1_0", "shufflenet_v2_x0_5", "fills"),
    "mobilenet_v3 large as small": ("mobilenet_v3_large", "mobilenet_v3_small", "fills"),
    "b0 as lite0": ("timm:efficientnet_b0", "efficientnet_lite0", "blocks.0.0.se.conv_reduce"),
    "lite1 as lite0": ("timm:tf_efficientnet_lite1", "efficientnet_lite0", "has no place for"),
    "lite0 as lite1": ("timm:tf_efficientnet_lite0", "efficientnet_lite1", "fills"),
}


QUICK = {"resnet50 as resnet18", "b0 as lite0"}
"""One that fills tensors by name, one that has more than the network."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow) for case in ANOTHER],
)
def test_weights_of_a_neighbour_are_refused(case: str, tmp_path: Path) -> None:
    import timm

    name, backbone, told = ANOTHER[case]
    model = (
        timm.create_model(name.removeprefix("timm:"), num_classes=10)
        if name.startswith("timm:")
        else checkpoints.network(name=name)
    )
    write(tmp_path, GOOD["state_dict.pth"], model)
    refused = refusal(tmp_path, backbone=backbone, unchanged=False)
    assert "was made for another network" in refused
    assert told in refused


@pytest.mark.parametrize("source", ["labels.txt", "notes", "checkpoint"])
def test_a_head_is_put_into_the_order_of_the_data(
    source: str, tmp_path: Path, original: nn.Module
) -> None:
    order = [3, 1, 0, 2, *range(4, 10)]
    names = [CLASSES[each] for each in order]
    content = {"model": original.state_dict(), "classes": names if source == "checkpoint" else None}
    folder = write(tmp_path, lambda to, _: torch.save(content, to / "mine.pth"), original)
    if source == "labels.txt":
        (folder / "labels.txt").write_text("\n".join(names) + "\n")
    if source == "notes":
        said = json.loads((folder / "mine.json").read_text()) | {"labels": names}
        (folder / "mine.json").write_text(json.dumps(said))
    assert torch.allclose(answers(build(tmp_path))[:, order], answers(original), atol=1e-4)


def test_an_order_that_nobody_told_is_said(
    tmp_path: Path, original: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, GOOD["state_dict.pth"], original)
    build(tmp_path)
    told = "taken to be the data's, in order: class 0, class 1, class 2 and 7 more"
    assert told in capsys.readouterr().out


def test_other_classes(
    tmp_path: Path, original: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path, GOOD["state_dict.pth"], original)
    (folder / "labels.txt").write_text("\n".join(["a dog", *CLASSES[1:]]))
    assert "only the checkpoint has a dog, only the data class 0" in refusal(tmp_path)
    model = build(tmp_path, unchanged=False)
    assert model.pretrained is not None
    assert model.pretrained["random"] == ["fc.weight", "fc.bias"]
    assert "the last layer begins at random" in capsys.readouterr().out


def test_a_head_of_two_layers_is_another(tmp_path: Path, original: nn.Module) -> None:
    content = {
        name: each for name, each in original.state_dict().items() if not name.startswith("fc.")
    }
    layers = {"fc.0": nn.Linear(1024, 64), "fc.2": nn.Linear(64, 10)}
    for place, layer in layers.items():
        content |= {f"{place}.{name}": each for name, each in layer.state_dict().items()}
    write(tmp_path, lambda folder, _: torch.save(content, folder / "mine.pth"), original)
    told = refusal(tmp_path)
    assert "fc.weight, fc.bias of shufflenet_v2_x0_5 would be random" in told


def test_labels_and_head_of_different_length(tmp_path: Path, original: nn.Module) -> None:
    folder = write(tmp_path, GOOD["state_dict.pth"], original)
    (folder / "labels.txt").write_text("\n".join(CLASSES[1:]))
    assert "names 9 classes, and its head answers 10" in refusal(tmp_path)


def test_labels_of_something_else_are_named_by_their_key(
    tmp_path: Path, original: nn.Module
) -> None:
    content = {"state_dict": original.state_dict(), "labels": ["left", "right"]}
    write(tmp_path, lambda folder, _: torch.save(content, folder / "mine.pth"), original)
    told = refusal(tmp_path)
    assert "names 2 classes under 'labels', and its head answers 10" in told
    assert told.endswith("or take that key out of it")


NOTES = {
    "unit": ({"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}, "divide by 255"),
    "length": ({"mean": [0.5, 0.5], "std": [0.5, 0.5]}, "1 for grey or 3 for RGB"),
    "lengths": ({"mean": [0.5], "std": [0.5] * 3}, "as many numbers in mean as in std"),
    "zero": ({"mean": [0.5] * 3, "std": [0.2, 0.0, 0.2]}, "a std above 0"),
    "negative": ({"mean": [-0.5] * 3, "std": [0.2] * 3}, "a mean of at least 0"),
    "text": ({"mean": "imagenet"}, "mean: should be a valid list (given 'imagenet')"),
    "half": ({"std": None}, "mean and std together"),
    "key": ({"means": [0.5]}, "means: is no key of it; known are source, licence, mean"),
    "size": ({"image_size": "224"}, "image_size: should be a valid integer (given '224')"),
}


@pytest.mark.parametrize("case", NOTES)
def test_notes_are_checked(case: str, tmp_path: Path, original: nn.Module) -> None:
    notes, told = NOTES[case]
    write(tmp_path, GOOD["state_dict.pth"], original, **notes)
    refused = refusal(tmp_path)
    assert told in refused
    assert str(tmp_path / "mine" / "mine.json") in refused


def test_a_checkpoint_that_is_used_unchanged_says_its_normalisation(
    tmp_path: Path, original: nn.Module
) -> None:
    (write(tmp_path, GOOD["state_dict.pth"], original) / "mine.json").unlink()
    assert "does not say how its images were normalised" in refusal(tmp_path)
    assert build(tmp_path, unchanged=False).preprocessing == SPLIT.preprocessing


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stem_kernel": 5}, "stem_kernel: 5, the checkpoint has 3"),
        ({"stem_stride": 1}, "stem_stride: 1, shufflenet_v2_x0_5 is published with 2"),
        ({"activation": "relu6"}, "activation: relu6 makes it another network"),
    ],
)
def test_unchanged_means_unchanged(
    changes: dict[str, object], told: str, tmp_path: Path, original: nn.Module
) -> None:
    write(tmp_path, GOOD["state_dict.pth"], original)
    assert told in refusal(tmp_path, **changes)


def test_another_size_of_images(tmp_path: Path, original: nn.Module) -> None:
    write(tmp_path, GOOD["state_dict.pth"], original, image_size=224, crop=1.0)
    assert "data.image_size: must be 224" in refusal(tmp_path)


def test_a_stride_that_the_notes_tell(tmp_path: Path, original: nn.Module) -> None:
    write(tmp_path, GOOD["state_dict.pth"], original, stem_stride=1)
    assert build(tmp_path).network.get_submodule("conv1.0").stride == (1, 1)
    assert build(tmp_path, stem_stride=1).architecture.stem_stride == 1


def test_a_colour_network_answers_grey_data_in_colour(tmp_path: Path, original: nn.Module) -> None:
    """As scripts do that load every photo as RGB."""
    write(tmp_path, GOOD["state_dict.pth"], original)
    frame = Preprocessing(32, 32, 1, (0.3,), (0.2,))
    grey = Split(np.zeros((2, 32, 32, 1), np.uint8), np.arange(2), CLASSES, frame)
    model = build(tmp_path, split=grey)
    assert model.preprocessing.channels == model.architecture.channels == 3
    assert torch.allclose(answers(model), answers(original), atol=1e-4)
    trained = build(tmp_path, split=grey, unchanged=False)
    assert trained.architecture.channels == 1
    assert trained.pretrained is not None
    assert list(trained.pretrained["resized"]) == ["conv1.0.weight"]


def test_a_convolution_as_head(tmp_path: Path) -> None:
    """SqueezeNet has no linear layer: its last convolution answers, and is exchanged as one."""
    squeezenet = checkpoints.network(name="squeezenet1_1")
    folder = write(tmp_path, GOOD["state_dict.pth"], squeezenet)
    backbone = "torchvision:squeezenet1_1"
    assert torch.allclose(
        answers(build(tmp_path, backbone=backbone)), answers(squeezenet), atol=1e-4
    )
    labels = [CLASSES[1], CLASSES[0], *CLASSES[2:]]
    (folder / "labels.txt").write_text("\n".join(labels))
    swapped = answers(build(tmp_path, backbone=backbone))
    assert torch.allclose(swapped[:, [1, 0]], answers(squeezenet)[:, :2], atol=1e-4)
    (folder / "labels.txt").write_text("\n".join(["a dog", *CLASSES[1:]]))
    assert "only the checkpoint has a dog" in refusal(tmp_path, backbone=backbone)
    model = build(tmp_path, unchanged=False, backbone=backbone)
    assert model.pretrained is not None
    assert model.pretrained["random"] == ["classifier.1.weight", "classifier.1.bias"]


def test_classes_that_are_called_by_numbers(tmp_path: Path) -> None:
    """Folders are sorted as text, 0, 1, 10, 11, 2; a file that counts has them in another order."""
    names = sorted(map(str, range(12)))
    split = Split(np.zeros((12, 32, 32, 3), np.uint8), np.arange(12), names, SPLIT.preprocessing)
    torch.manual_seed(0)
    model = checkpoints.network(classes=12)

    def numbered(folder: Path, model: nn.Module) -> None:
        counted = [str(each) for each in range(12)]
        torch.save({"state_dict": model.state_dict(), "classes": counted}, folder / "mine.pth")

    write(tmp_path, numbered, model)
    found = answers(build(tmp_path, split=split))
    assert torch.allclose(found, answers(model)[:, [int(each) for each in names]], atol=1e-5)


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v2", "torchvision:efficientnet_b0"])
def test_a_head_that_was_replaced_with_its_dropout(name: str, tmp_path: Path) -> None:
    model = torchvision.models.get_model(name.partition(":")[2], num_classes=len(CLASSES))
    width = model.classifier[1].in_features
    model.classifier = nn.Linear(width, len(CLASSES))
    write(tmp_path, lambda folder, m: torch.save(m.state_dict(), folder / "mine.pth"), model)
    assert torch.allclose(answers(build(tmp_path, backbone=name)), answers(model), atol=1e-5)


def test_a_head_of_two_layers_where_one_was_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = torchvision.models.mobilenet_v2()
    model.classifier = nn.Sequential(nn.Dropout(), nn.Linear(1280, 64), nn.ReLU(), nn.Linear(64, 2))
    write(tmp_path, lambda folder, m: torch.save(m.state_dict(), folder / "mine.pth"), model)
    build(tmp_path, backbone="torchvision:mobilenet_v2", unchanged=False)
    assert "has a head of 2 layers, which is another: it is left out" in capsys.readouterr().out
