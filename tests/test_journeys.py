"""A trained classifier in, a smaller one out: the examples for one's own checkpoint, through DVC.

The checkpoint is trained by a plain torch script that knows nothing of Slimline. Slow, since each
journey is a run of the pipeline.
"""

import argparse
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
import toy
from torch import Tensor, nn
from torch.nn import functional

from slimline import files
from slimline.data import split_files
from slimline.measure import accuracy

pytestmark = pytest.mark.slow

BACKBONE = "shufflenet_v2_x1_0"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
NUM_TEST = 3000

TOY = {
    "data.source": "toy", "data.image_size": 28, "data.crop": 1.0, "data.validation_images": 200,
    "data.calibration_images": 200, "baseline_train.backbone": BACKBONE, "num_threads": 1,
    "training.num_workers": 0, "training.augment.crop": 1.0, "training.augment.flip": False,
}  # fmt: skip
"""What every journey has at toy size."""


@dataclass(frozen=True)
class Trained:
    """What the script left behind."""

    checkpoint: Path
    answers: Mapping[bytes, int]
    """By the pixels of a test image: the class that the script's network answers with."""
    top1: float


def idx(path: Path) -> np.ndarray:
    content = gzip.decompress(path.read_bytes())
    return (
        np.frombuffer(content[16:], np.uint8).reshape(-1, 28, 28).copy()
        if "idx3" in path.name
        else np.frombuffer(content[8:], np.uint8).astype(np.int64)
    )


def as_tensor(images: np.ndarray) -> Tensor:
    """As `transforms.ToTensor` and `Normalize` do it for photos that were loaded as RGB."""
    scaled = torch.from_numpy(images).float().div(255).unsqueeze(1).expand(-1, 3, -1, -1)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    return (scaled - mean) / std


def script(data: Path, target: Path) -> Trained:
    """Train as a person would who has never heard of Slimline, and save as torchvision's does."""
    torch.manual_seed(0)
    images, labels = (
        idx(data / f"train-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1")
    )
    inputs, wanted = as_tensor(images), torch.from_numpy(labels)
    model = torchvision.models.get_model(BACKBONE, weights=None, num_classes=10)
    epochs, size = 6, 50
    steps = epochs * len(inputs) // size
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(inputs), (size,))
        functional.cross_entropy(model(inputs[rows]), wanted[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    args = argparse.Namespace(lr=0.01, output_dir=target)
    torch.save({"model": model.state_dict(), "args": args, "epoch": epochs}, target / "last.pth")
    unseen = idx(data / "t10k-images-idx3-ubyte.gz")
    answers = answer(model, as_tensor(unseen))
    right = answers == idx(data / "t10k-labels-idx1-ubyte.gz")
    by_image = {image.tobytes(): each for image, each in zip(unseen, answers.tolist(), strict=True)}
    return Trained(target / "last.pth", by_image, 100 * float(right.mean()))


@torch.no_grad()
def answer(model: nn.Module, inputs: Tensor) -> np.ndarray:
    model.eval()
    return torch.cat([model(part).argmax(1) for part in inputs.split(250)]).numpy()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    data = tmp_path_factory.mktemp("data") / "toy"
    toy.make_data(data, num_test=NUM_TEST)
    return script(data, tmp_path_factory.mktemp("script"))


def journey(folder: Path, example: str, trained: Trained, changes: dict[str, object]) -> Path:
    """Put the checkpoint in, apply an example, run it to the product's figures."""
    made = toy.make(folder / "toy", num_test=NUM_TEST)
    mine = made / "data" / "raw" / "pretrained" / "mine"
    mine.mkdir()
    mine.joinpath("last.pth").write_bytes(trained.checkpoint.read_bytes())
    mine.joinpath("last.json").write_text(json.dumps({"mean": MEAN, "std": STD}))
    applied = [f"{key}={json.dumps(value)}" for key, value in (TOY | changes).items()]
    toy.run_command(made, "-m", "slimline", "apply", f"examples/{example}.params.yaml", *applied)
    toy.dvc(made, "repro", "evaluate@baseline_train", "evaluate@int8_export")
    return made


def figures(folder: Path, variant: str) -> dict[str, float]:
    return files.read_json(folder / "metrics" / "evaluate" / f"{variant}.json")


def histories(folder: Path, *stages: str) -> Iterator[list[dict[str, str]]]:
    for stage in stages:
        yield files.read_table(folder / "models" / stage / "history.tsv")


def test_quantize_only(tmp_path: Path, trained: Trained) -> None:
    made = journey(tmp_path, "quantize_only", trained, {})
    answers = accuracy.read_predictions(made / "metrics" / "predictions" / "baseline_train.txt")
    images = split_files.load(made / "data" / "prepared" / "test").images[:]
    expected = [trained.answers[image.tobytes()] for image in images]
    assert answers.tolist() == expected, "the very answers of the script, to the image"
    before, after = figures(made, "baseline_train"), figures(made, "int8_export")
    assert before["top1"] == round(trained.top1, 3) > 70
    assert abs(after["top1"] - before["top1"]) <= 0.5
    assert after["int8_macs"] > 95
    assert before["size_kib"] > 3 * after["size_kib"]
    stages = ("baseline_train", "backbone_swap", "prune", "qat_finetune")
    assert list(histories(made, *stages)) == [[], [], [], []], "not a step was trained"
    weights = [
        (made / "models" / stage / "weights.safetensors").read_bytes()
        for stage in ("baseline_train", "backbone_swap", "prune")
    ]
    assert weights[0] == weights[1] == weights[2]


def test_prune_and_quantize(tmp_path: Path, trained: Trained) -> None:
    changes = {
        "training.batch_size": 32, "prune.recover.epochs": 1, "prune.max_drop": 30,
        "qat_finetune.recipe.epochs": 0.2,
    }  # fmt: skip
    made = journey(tmp_path, "prune_and_quantize", trained, changes)
    before, after = figures(made, "baseline_train"), figures(made, "int8_export")
    assert before["top1"] == round(trained.top1, 3)
    assert after["macs_m"] < 0.9 * before["macs_m"]
    assert after["top1"] > before["top1"] - 10
    rounds = files.read_json(made / "models" / "prune" / "model.json")["rounds"]
    assert all(each["top1_recovered"] >= each["top1_cut"] for each in rounds)


def test_teach_a_smaller_network(tmp_path: Path, trained: Trained) -> None:
    changes = {
        "training.batch_size": 32, "backbone_swap.backbone": "shufflenet_v2_x0_5",
        "backbone_swap.pretrained": "none", "backbone_swap.unfrozen.epochs": 3,
        "backbone_swap.unfrozen.backbone_rate": 1.0, "backbone_swap.unfrozen.learning_rate": 0.01,
        "backbone_swap.frozen.epochs": 0, "prune.recover.epochs": 1, "prune.max_drop": 30,
        "qat_finetune.recipe.epochs": 0.2,
    }  # fmt: skip
    made = journey(tmp_path, "teach_a_smaller_network", trained, changes)
    before, after = figures(made, "baseline_train"), figures(made, "int8_export")
    assert before["top1"] == round(trained.top1, 3)
    assert before["size_kib"] > 10 * after["size_kib"]
    assert after["top1"] > 50
    swapped = files.read_json(made / "models" / "backbone_swap" / "model.json")
    assert swapped["preprocessing"]["channels"] == 1, "the pupil sees grey images as they are"
