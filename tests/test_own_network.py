"""A user's own network of two files, with a checkpoint, from `params.yaml` to a package.

The files are as such a user writes them, and not as we do. No line of ours is changed.
"""

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from test_journeys import figures, idx

from slimline.data import split_files

pytestmark = pytest.mark.slow

GATE = """
import torch
import torch.nn as nn


class AttentionGate(nn.Module):
    # looks at channels first, then at places (CBAM-like)
    def __init__(self, nChannels, r=4):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(nChannels, nChannels // r), nn.PReLU(),
                                 nn.Linear(nChannels // r, nChannels))
        self.place = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x):
        b, c = x.size(0), x.size(1)
        w = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        x = x * w.view(b, c, 1, 1)
        m = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.place(m))
"""

NETWORK = """
import torch.nn as nn

from own.attention_gate import AttentionGate


def conv(i, o, s=1):
    return nn.Conv2d(i, o, kernel_size=3, stride=s, padding=1, bias=False)


class ResUnit(nn.Module):
    def __init__(self, i, o, s):
        super(ResUnit, self).__init__()
        self.c1, self.b1, self.a1 = conv(i, o, s), nn.BatchNorm2d(o), nn.PReLU(o)
        self.c2, self.b2 = conv(o, o), nn.BatchNorm2d(o)
        self.skip = None
        if s != 1 or i != o:
            self.skip = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))
        self.gate = AttentionGate(o)
        self.a2 = nn.PReLU(o)

    def forward(self, x):
        y = self.b2(self.c2(self.a1(self.b1(self.c1(x)))))
        y = self.gate(y)
        y = y + (x if self.skip is None else self.skip(x))
        return self.a2(y)


class MyNet(nn.Module):
    def __init__(self, nClasses, nIn):
        super(MyNet, self).__init__()
        self.classifier = nn.Linear(64, nClasses)
        self.begin = nn.Sequential(conv(nIn, 16, 2), nn.BatchNorm2d(16), nn.PReLU(16))
        self.body = nn.ModuleList([ResUnit(16, 32, 1), ResUnit(32, 32, 1), ResUnit(32, 64, 2)])
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.begin(x)
        for unit in self.body:
            x = unit(x)
        x = self.pool(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)


def build(num_classes, in_channels):
    return MyNet(num_classes, in_channels)
"""

MEAN, STD = 0.286, 0.353

SCRIPT = """
import sys

sys.path.insert(0, ".")
import torch
from own.my_net import build

images, labels = torch.load("train.pt", weights_only=True)
torch.manual_seed(0)
model = torch.nn.DataParallel(build(10, 1))
steps = 340
optimizer = torch.optim.Adam(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, total_steps=steps)
for step in range(steps):
    rows = torch.randint(len(images), (48,))
    loss = torch.nn.functional.cross_entropy(model(images[rows]), labels[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
torch.save({"epoch": 9, "state_dict": model.state_dict()}, "best.pth.tar")
"""

SETTINGS = {
    "data.source": "toy", "data.image_size": 28, "data.crop": 1.0, "data.validation_images": 200,
    "data.calibration_images": 200, "baseline_train.backbone": "own.my_net:build",
    "num_threads": 1, "training.num_workers": 0, "training.augment.crop": 1.0,
    "training.augment.flip": False, "training.batch_size": 32, "prune.recover.epochs": 1,
    "prune.max_drop": 30, "prune.threshold": 0.0, "prune.target.macs": 0.75,
    "prune.channel_multiple": 4, "qat_finetune.recipe.epochs": 0.3, "benchmark.blocks": 3,
    "benchmark.runs": 3, "benchmark.batches": 2, "benchmark.max_seconds": 0,
}  # fmt: skip
"""What the user sets over the example, and what makes it quick."""


def prepared(folder: Path) -> Path:
    """Return the toy pipeline with the user's two files and the checkpoint of the user's script."""
    made = toy.make(folder / "toy")
    (made / "own" / "attention_gate.py").write_text(GATE)
    (made / "own" / "my_net.py").write_text(NETWORK)
    raw = made / "data" / "raw"
    images = torch.from_numpy(idx(raw / "toy" / "train-images-idx3-ubyte.gz"))
    labels = torch.from_numpy(idx(raw / "toy" / "train-labels-idx1-ubyte.gz"))
    torch.save(((images.float()[:, None] / 255 - MEAN) / STD, labels), made / "train.pt")
    (made / "train_my_net.py").write_text(SCRIPT)
    toy.run_command(made, "train_my_net.py")
    mine = raw / "pretrained" / "mine"
    mine.mkdir(parents=True, exist_ok=True)
    (made / "best.pth.tar").rename(mine / "best.pth.tar")
    (mine / "best.json").write_text(json.dumps({"mean": [MEAN], "std": [STD]}))
    for name in ("train.pt", "train_my_net.py"):
        (made / name).unlink()
    return made


def of_the_script(made: Path, images: np.ndarray) -> np.ndarray:
    """Return the classes that the user's own network answers."""
    classes: OrderedDict[str, object] = OrderedDict()
    exec(GATE, classes)
    exec(NETWORK.replace("from own.attention_gate import AttentionGate", ""), classes)
    network = classes["build"](10, 1).eval()  # type: ignore[operator]
    saved = torch.load(made / "data/raw/pretrained/mine/best.pth.tar", weights_only=True)
    network.load_state_dict(
        {name.removeprefix("module."): each for name, each in saved["state_dict"].items()}
    )
    inputs = (torch.tensor(images).float().permute(0, 3, 1, 2) / 255 - MEAN) / STD
    with torch.no_grad():
        return network(inputs).argmax(1).numpy()


def test_from_params_to_a_package(tmp_path: Path) -> None:
    made = prepared(tmp_path)
    toy.commit(made, "Add my network")
    applied = [f"{key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    example = "examples/prune_and_quantize.params.yaml"
    toy.run_command(made, "-m", "slimline", "apply", example, *applied)
    toy.dvc(made, "repro")
    changed = toy.git(made, "diff", "--name-only", "HEAD", "--", "slimline", "stages", "dvc.yaml")
    assert changed == ""
    before, after = figures(made, "baseline_train"), figures(made, "int8_export")
    split = split_files.load(made / "data" / "prepared" / "test")
    right = of_the_script(made, split.images[:]) == split.labels
    assert before["top1"] == pytest.approx(100 * right.mean(), abs=0.001)
    assert before["top1"] > 60
    assert after["top1"] > before["top1"] - 10
    assert after["macs_m"] == pytest.approx(0.75 * before["macs_m"], rel=0.02)
    assert after["int8_macs"] > 90
    assert before["size_kib"] > 3 * after["size_kib"]
    toy.run_command(made, "-m", "slimline", "package", "out")
    names = {path.name for path in (made / "out").iterdir()}
    assert {"model.onnx", "model.json", "predict.py", "labels.txt", "model_card.md"} <= names
