"""Networks that no table has, on their whole way from weights to an int8 file."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import calibrated
import cuts
import numpy as np
import pytest
import tabled
import test_entries
import timm
import torch
import toy
from timm.models.mlp_mixer import MlpMixer
from timm.models.resnet import ResNet as TimmResNet
from timm.models.sknet import SelectiveKernelBasic
from torch import Tensor, nn
from torchvision.models import DenseNet, ResNet
from torchvision.models.resnet import Bottleneck
from torchvision.models.vgg import make_layers

from slimline import files
from slimline.artifacts import description, model_folder
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.parity import float_parity
from slimline.pruning import cost
from slimline.quantization import int8_export, qat
from slimline.targets.onnxruntime import onnx_file, runtime
from slimline.training import loop

CLASSES = 5


class Gate(nn.Module):
    """A layer of a user's own: what is important is found by looking at all places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1)
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        shares = self.score(maps).flatten(2).softmax(-1).view(maps.size(0), 1, maps.size(2), -1)
        return maps * self.scale + maps * shares


class Own(nn.Module):
    """A network as a user has it: residual, PReLU, a gate, and a `view` that names the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16)
        self.one, self.two = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.act, self.inner = nn.PReLU(16), nn.PReLU(16)
        self.gate, self.head = Gate(16), nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.norm(self.stem(images)))
        maps = self.gate(maps + self.two(self.inner(self.one(maps))))
        return self.head(maps.mean((2, 3)).view(images.size(0), -1))


class Shift(nn.Module):
    """Moves parts of the channels by a place, as ShiftViT and S2-MLP do: written in place."""

    def forward(self, maps: Tensor) -> Tensor:
        moved, part = torch.zeros_like(maps), maps.shape[1] // 3
        moved[:, :part, 1:] = maps[:, :part, :-1]
        moved[:, part : 2 * part, :, :-1] = maps[:, part : 2 * part, :, 1:]
        moved[:, 2 * part :] = maps[:, 2 * part :]
        return moved


def shifted() -> nn.Module:
    """Return a network that moves its maps between its layers."""
    widths = (3, 32, 48, 64)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        norm, act = nn.BatchNorm2d(after), nn.ReLU(inplace=True)
        layers += [nn.Conv2d(before, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, after, 1), norm, act]
        layers += [Shift()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


def flattened() -> nn.Module:
    """Return a network as VGG: maps are flattened with their places."""
    maps = make_layers([16, "M", 32, "M"], batch_norm=True)
    head = [nn.Linear(32 * 16, 48), nn.ReLU(True), nn.Dropout(), nn.Linear(48, CLASSES)]
    return nn.Sequential(maps, nn.AdaptiveAvgPool2d(4), nn.Flatten(), *head)


def selective() -> nn.Module:
    """Return a network as SKNet: channels are split for paths that are weighed and summed."""
    kernels = {"sk_kwargs": {"rd_divisor": 8, "split_input": True}}
    return TimmResNet(
        SelectiveKernelBasic, (1, 1, 1, 1), CLASSES, channels=(16, 24, 32, 48), block_args=kernels
    )


@dataclass(frozen=True)
class Kind:
    """A kind of difficulty: a small network that has it, and its images' pixels."""

    build: Callable[[], nn.Module]
    size: int
    int8_share: float
    """Percent of its multiply-accumulates that run in int8, at least."""


KINDS = {
    "DenseNet": Kind(lambda: DenseNet(8, (2, 2), 16, num_classes=CLASSES), 32, 99),
    "grouped": Kind(
        lambda: ResNet(Bottleneck, [1, 1, 1, 1], CLASSES, groups=4, width_per_group=8), 32, 99
    ),
    "flatten": Kind(flattened, 32, 99),
    "ConvNeXt": Kind(lambda: timm.create_model("test_convnext", num_classes=CLASSES), 64, 99),
    "ViT": Kind(lambda: timm.create_model("test_vit", img_size=64, num_classes=CLASSES), 64, 85),
    "mixer": Kind(lambda: MlpMixer(CLASSES, 32, patch_size=8, num_blocks=2, embed_dim=32), 32, 99),
    "GroupNorm": Kind(
        lambda: timm.create_model("test_efficientnet_gn", num_classes=CLASSES), 64, 95
    ),
    "SKNet": Kind(selective, 32, 95),
    "own": Kind(Own, 32, 95),
    "coordinates": Kind(tabled.Coordinates, 32, 99),
    "kept table": Kind(tabled.Remembered, 32, 99),
    "shift": Kind(shifted, 32, 99),
    "kernels": Kind(tabled.Normalised, 32, 95),
}


def built(kind: str) -> Classifier:
    """Return a network with random weights whose BatchNorm has seen images."""
    torch.manual_seed(0)
    network, size = KINDS[kind].build(), KINDS[kind].size
    network.train()
    for _ in range(3):
        network(torch.randn(4, 3, size, size))
    frame = Preprocessing(size, size, 3, mean=(0.5,) * 3, std=(0.25,) * 3)
    names = [f"class {each}" for each in range(CLASSES)]
    return Classifier(network.eval(), Architecture("any", CLASSES, 3, 1, 3), names, frame)


def noise(model: Classifier, count: int) -> Split:
    generator, size = np.random.default_rng(0), model.preprocessing.height
    images = generator.integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    labels = generator.integers(0, CLASSES, count)
    return Split(images, labels, model.classes, model.preprocessing)


@pytest.mark.parametrize("kind", KINDS)
def test_prunes_and_reloads(kind: str) -> None:
    model = built(kind)
    network = copy.deepcopy(model.network)
    plan = cuts.cut(network, model.example, 0.3, multiple=1)
    tensors = network.state_dict()
    assert sum(each.numel() for each in tensors.values()) < sum(
        each.numel() for each in model.network.state_dict().values()
    )
    again = KINDS[kind].build().eval()
    cuts.write_splits(again, plan)
    shapes = {name: list(each.shape) for name, each in tensors.items()}
    classifier.fit_shapes(again, shapes, model.example)
    again.load_state_dict(tensors)
    images = torch.randn(3, *model.example.shape[1:])
    assert torch.equal(again(images), network.eval()(images))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_of_each_kind_what_is_pruned_answers_in_int8_as_in_fake_quant(
    kind: str, tmp_path: Path
) -> None:
    model = built(kind)
    macs = cost.count(model.network, model.example).macs
    cuts.cut(model.network, model.example, 0.3, multiple=1)
    assert cost.count(model.network, model.example).macs < macs
    split = noise(model, 60)
    trained, _ = qat.finetune(model, split, split, split, test_entries.QAT, seed=1)
    files.write_json(tmp_path / description.DESCRIPTION, {})
    # Each value that is rounded is compared here, to half a step.
    int8_export.save(
        tmp_path / "int8", trained, split, calibrated.EXPORT,
        parent=tmp_path, num_threads=1,
    )  # fmt: skip
    path = tmp_path / "int8" / "model.onnx"
    assert onnx_file.inspect(path).int8_share >= KINDS[kind].int8_share
    images = model.preprocessing.normalise(split.images[:3])
    session = runtime.load(path, num_threads=1)
    alone = np.concatenate([runtime.run(session, each[np.newaxis]) for each in images])
    assert np.allclose(runtime.run(session, images), alone, atol=1e-4)


STEMS = {"torchvision:densenet121": 1}
"""Strides for images of 28 px; others keep theirs."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "torchvision:regnet_x_400mf",  # grouped convolutions
        "torchvision:mnasnet0_5",  # weights that carry a version
        "torchvision:squeezenet1_1",  # a convolution as head
        "torchvision:densenet121",  # BatchNorm in front
    ],
)
def test_from_weights_to_int8(name: str, tmp_path: Path) -> None:
    split = toy.splits(tmp_path, validation_images=60)["validation"]
    settings = ModelParams(
        backbone=name, pretrained="none", stem_stride=STEMS.get(name, "keep"),  # type: ignore[arg-type]
        stem_kernel="keep", activation="keep",
    )  # fmt: skip
    torch.manual_seed(0)
    model = classifier.build(settings, split, tmp_path)
    recipe = test_entries.RECIPE.model_copy(update={"epochs": 0.5})
    loop.fit(
        model.network, split, split, recipe,
        preprocessing=split.preprocessing, seed=1, phase="test",
    )  # fmt: skip
    cuts.cut(model.network, model.example, 0.3, multiple=8)
    model_folder.save(tmp_path / "prune", model, data=split, settings=settings)
    reloaded = model_folder.load(tmp_path / "prune")
    float_parity.check(reloaded, split, tmp_path / "prune" / "model.onnx", num_threads=1)
    trained, _ = qat.finetune(reloaded, split, split, split, test_entries.QAT, seed=1)
    model_folder.save(
        tmp_path / "qat", trained, data=split, settings=test_entries.QAT, with_onnx=False,
        extra=test_entries.NOTHING_FLOAT,
    )  # fmt: skip
    prepared = int8_export.load_prepared(tmp_path / "qat")
    parity = int8_export.save(
        tmp_path / "int8", prepared, split, calibrated.EXPORT,
        parent=tmp_path / "qat", num_threads=1,
    )  # fmt: skip
    assert onnx_file.inspect(tmp_path / "int8" / "model.onnx").int8_share > 95
    assert parity.agreement_written > 98
    assert parity.largest_difference < 0.05 * parity.spread
