"""Makers of checkpoint files as people have them: one ShuffleNetV2, saved in many ways.

`GOOD` are files that must give back that very network, `BAD` those that are refused, each with what
is told of it. No file is committed; each maker writes it into a folder.
"""

import argparse
import collections
import gzip
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

BACKBONE = "shufflenet_v2_x0_5"
CLASSES = [f"class {number}" for number in range(10)]

Tensors = dict[str, Tensor]
Maker = Callable[[Path, nn.Module], None]


def network(seed: int = 0, classes: int = 10, name: str = BACKBONE) -> nn.Module:
    """Return a user's network: torchvision's own, never seen by Slimline."""
    torch.manual_seed(seed)
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def prefixed(tensors: Tensors, prefix: str) -> Tensors:
    return {f"{prefix}{name}": each for name, each in tensors.items()}


def other(model: nn.Module) -> Tensors:
    """Tensors that look like the model's, and are not."""
    return {name: each + 1 for name, each in model.state_dict().items()}


def _saved(name: str, content: Callable[[nn.Module], Any], **how: Any) -> Maker:
    def make(folder: Path, model: nn.Module) -> None:
        torch.save(content(model), folder / name, **how)

    return make


def _safetensors(content: Callable[[nn.Module], Tensors]) -> Maker:
    def make(folder: Path, model: nn.Module) -> None:
        tensors = {name: each.clone().contiguous() for name, each in content(model).items()}
        save_file(tensors, folder / "mine.safetensors")

    return make


def _with_notes(maker: Maker, **notes: Any) -> Maker:
    def make(folder: Path, model: nn.Module) -> None:
        maker(folder, model)
        (folder / "mine.json").write_text(json.dumps(notes))

    return make


def _reference(model: nn.Module) -> dict[str, Any]:
    """As torchvision's references/classification/train.py saves."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": {"last_epoch": 89, "_last_lr": [0.1]},
        "epoch": 89,
        "args": argparse.Namespace(lr=0.1, output_dir=PurePosixPath("out"), device="cuda"),
        "model_ema": {"n_averaged": torch.tensor(7), **prefixed(other(model), "module.")},
    }


def _of_timm(model: nn.Module) -> dict[str, Any]:
    """As timm's train.py saves."""
    return {
        "epoch": 3,
        "arch": BACKBONE,
        "state_dict": model.state_dict(),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3, 3)}}, "param_groups": []},
        "version": 2,
        "args": argparse.Namespace(model=BACKBONE, mean=None),
        "state_dict_ema": other(model),
        "metric": np.float64(71.2),
    }


def _lightning(model: nn.Module) -> dict[str, Any]:
    return {
        "state_dict": {
            "criterion.weight": torch.ones(10),
            **prefixed(model.state_dict(), "model."),
        },
        "pytorch-lightning_version": "2.4.0",
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2, 2)}}}],
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.7)}},
    }


def _parallel_features(model: nn.Module) -> Tensors:
    """As when a part alone was wrapped for several devices, or compiled."""
    return {
        name.replace("stage2.", "stage2.module.").replace("stage3.", "stage3._orig_mod."): each
        for name, each in model.state_dict().items()
    }


GOOD: dict[str, Maker] = {
    "state_dict.pth": _saved("mine.pth", lambda model: model.state_dict()),
    "state_dict.pt": _saved("mine.pt", lambda model: model.state_dict()),
    "state_dict.ckpt": _saved("mine.ckpt", lambda model: model.state_dict()),
    "state_dict.bin": _saved("pytorch_model.bin", lambda model: model.state_dict()),
    "legacy": _saved(
        "mine.pth", lambda model: model.state_dict(), _use_new_zipfile_serialization=False
    ),
    "plain dict": _saved("mine.pth", lambda model: dict(model.state_dict())),
    "parameters of the module itself": _saved(
        "mine.pth", lambda model: dict(model.named_parameters()) | dict(model.named_buffers())
    ),
    "safetensors": _safetensors(lambda model: model.state_dict()),
    "safetensors under another name": lambda folder, model: save_file(
        {name: each.contiguous() for name, each in model.state_dict().items()}, folder / "mine.bin"
    ),
    "module.": _saved("mine.pth", lambda model: prefixed(model.state_dict(), "module.")),
    "model.": _saved("mine.pth", lambda model: prefixed(model.state_dict(), "model.")),
    "_orig_mod.": _saved("mine.pth", lambda model: prefixed(model.state_dict(), "_orig_mod.")),
    "module._orig_mod.": _saved(
        "mine.pth", lambda model: prefixed(model.state_dict(), "module._orig_mod.")
    ),
    "_orig_mod.module.": _saved(
        "mine.pth", lambda model: prefixed(model.state_dict(), "_orig_mod.module.")
    ),
    "any prefix": _saved("mine.pth", lambda model: prefixed(model.state_dict(), "net.backbone.")),
    "parts wrapped": _saved("mine.pth", _parallel_features),
    "safetensors with prefix and foreign keys": _safetensors(
        lambda model: {
            "criterion.weight": torch.ones(10),
            "n_averaged": torch.tensor(3),
            **prefixed(model.state_dict(), "model.module."),
        }
    ),
    "under a name that begins as an optimizer's": _saved(
        "mine.pth", lambda model: {"optimal_state": model.state_dict(), "optim": {"state": {}}}
    ),
    "under state_dict": _saved("mine.pth", lambda model: {"state_dict": model.state_dict()}),
    "under model_state_dict": _saved(
        "mine.pth", lambda model: {"model_state_dict": model.state_dict(), "loss": 0.1}
    ),
    "under net": _saved("mine.pth", lambda model: {"net": model.state_dict(), "acc": 91.2}),
    "under model_ema alone": _saved("mine.pth", lambda model: {"model_ema": model.state_dict()}),
    "nested twice": _saved(
        "mine.pth", lambda model: {"state": {"model": prefixed(model.state_dict(), "module.")}}
    ),
    "torchvision's reference script": _saved("mine.pth", _reference),
    "timm's script": _saved("mine.pth.tar.pth", _of_timm),
    "Lightning": _saved("mine.ckpt", _lightning),
    "an average beside it, in one mapping": _saved(
        "mine.ckpt",
        lambda model: {
            **prefixed(model.state_dict(), "model."),
            **prefixed(other(model), "model_ema.module."),
        },
    ),
    "the average, chosen": _with_notes(
        _saved("mine.pth", lambda model: {"model": other(model), "model_ema": model.state_dict()}),
        take="model_ema",
    ),
    "the student, chosen": _with_notes(
        _saved(
            "mine.pth",
            lambda model: {
                **prefixed(model.state_dict(), "student."),
                **prefixed(other(model), "teacher."),
            },
        ),
        take="student.",
    ),
    "PyTorch's ImageNet example": _saved(
        "model_best.pth.tar",
        lambda model: {
            "epoch": 90,
            "arch": BACKBONE,
            "state_dict": prefixed(model.state_dict(), "module."),
            "best_acc1": torch.tensor(71.2),
            "optimizer": {"state": {}, "param_groups": []},
            "scheduler": {"step_size": 30},
        },
    ),
    "a head behind dropout": _saved(
        "mine.pth",
        lambda model: {
            name.replace("fc.", "fc.1."): each for name, each in model.state_dict().items()
        },
    ),
    "numpy scalars and arrays": _saved(
        "mine.pth",
        lambda model: {
            "model": model.state_dict(),
            "best": np.float32(0.9),
            "epoch": np.int64(3),
            "curve": np.arange(3.0),
            "done": np.bool_(True),
        },
    ),
    "a head among other tensors": _saved(
        "mine.pth",
        lambda model: {**model.state_dict(), "projector.0.weight": torch.zeros(4, 1024)},
    ),
    "no counters of batches": _saved(
        "mine.pth",
        lambda model: {
            name: each
            for name, each in model.state_dict().items()
            if each.dim() or "num" not in name
        },
    ),
    "double precision": _saved(
        "mine.pth",
        lambda model: {
            name: each.double() if each.is_floating_point() else each
            for name, each in model.state_dict().items()
        },
    ),
    "names of classes in it": _saved(
        "mine.pth",
        lambda model: {
            "model": model.state_dict(),
            "class_to_idx": {name: number for number, name in enumerate(CLASSES)},
        },
    ),
}


def _counts() -> dict[str, int]:
    return collections.defaultdict(int, cats=3)


def _script(folder: Path, _: nn.Module) -> None:
    from torch import jit

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        jit.save(jit.trace(nn.Conv2d(3, 2, 3), torch.zeros(1, 3, 8, 8)), str(folder / "mine.pt"))


def _bytes(content: bytes, name: str = "mine.pth") -> Maker:
    def make(folder: Path, _: nn.Module) -> None:
        (folder / name).write_bytes(content)

    return make


def _cut(maker: Maker, name: str) -> Maker:
    def make(folder: Path, model: nn.Module) -> None:
        maker(folder, model)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return make


def _zipped(folder: Path, _: nn.Module) -> None:
    with zipfile.ZipFile(folder / "mine.pth", "w") as archive:
        archive.writestr("checkpoint/notes.txt", "nothing")


def _tensors_as_bytes(content: Any) -> bytes:
    written = io.BytesIO()
    torch.save(content, written)
    return written.getvalue()


_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 45\n"

BAD: dict[str, tuple[Maker, str]] = {
    "a pickled module": (_saved("mine.pth", lambda model: model), "a whole module was pickled"),
    "a pickled module, legacy": (
        _saved("mine.pth", lambda model: model, _use_new_zipfile_serialization=False),
        "a whole module was pickled",
    ),
    "an object beside the weights": (
        _saved("mine.pth", lambda model: {"net": model.state_dict(), "at": collections.UserDict()}),
        "collections.UserDict (it was pickled beside the weights)",
    ),
    "a defaultdict beside the weights": (
        _saved("mine.pth", lambda model: {"net": model.state_dict(), "at": _counts()}),
        "(it was pickled beside the weights)",
    ),
    "TorchScript": (_script, "is a TorchScript program"),
    "HTML": (_bytes(b"\n<!DOCTYPE html><html>Sign in</html>"), "is an HTML page"),
    "HTML as safetensors": (_bytes(b"<html></html>", "mine.safetensors"), "is an HTML page"),
    "LFS": (_bytes(_LFS), "is a pointer of Git LFS"),
    "empty": (_bytes(b""), "is empty"),
    "cut": (_cut(GOOD["state_dict.pth"], "mine.pth"), "is cut off"),
    "cut, safetensors": (_cut(GOOD["safetensors"], "mine.safetensors"), "is cut off"),
    "cut, legacy": (_cut(GOOD["legacy"], "mine.pth"), "is damaged"),
    "a plain pickle": (_bytes(pickle.dumps({"a": [1.0]})), "is a plain pickle"),
    "packed": (_bytes(gzip.compress(_tensors_as_bytes({}))), "is packed by gzip"),
    "another archive": (_zipped, "is a zip archive with checkpoint/notes.txt"),
    "noise": (_bytes(b"no tensors at all"), "is neither a file of torch.save nor of safetensors"),
    "no tensors": (_saved("mine.pth", lambda _: {"epoch": 3, "net": None}), "holds no state_dict"),
    "two networks": (
        _saved(
            "mine.pth",
            lambda model: {"student": model.state_dict(), "teacher": other(model)},
        ),
        "several sets of weights, 'student', 'teacher'",
    ),
    "what is taken is not there": (
        _with_notes(_saved("mine.pth", lambda model: {"model": model.state_dict()}), take="ema"),
        "has no weights under 'ema'",
    ),
}
