"""Model folders: they describe themselves, and are read without pickle.

`weights.safetensors`, `model.json`, `model.onnx`, and `history.tsv` where there was training.
An int8 product has no weights file: its .onnx is all there is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from slimline import files
from slimline.artifacts import description
from slimline.artifacts.description import HISTORY, ONNX, WEIGHTS
from slimline.data.split_files import Split
from slimline.errors import ArtifactError
from slimline.networks import classifier, model_description
from slimline.networks.classifier import Classifier
from slimline.params import Params
from slimline.targets.onnxruntime import releases, to_onnx
from slimline.targets.registry import ONNX_RUNTIME
from slimline.training import determinism
from slimline.training.scores import HistoryRow


def save(
    target: Path,
    model: Classifier,
    *,
    data: Split,
    settings: Params,
    parent: Path | None = None,
    history: Sequence[HistoryRow] | None = None,
    validation_top1: float | None = None,
    extra: Mapping[str, Any] | None = None,
    with_onnx: bool = True,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write a trained model's folder at once; `extra` goes into `model.json`.

    `validation_top1` is of the state that training kept, percent.
    `check` is given the .onnx; nothing is written if it raises.
    """
    with files.replacing(target) as folder:
        save_weights(folder, model.network.state_dict())
        if with_onnx:
            to_onnx.write_onnx(model.network, model.example, folder / ONNX)
        if check is not None:
            check(folder / ONNX)
        if history is not None:
            rows = [row.to_dict() for row in history]
            files.write_table(
                folder / HISTORY, rows, header=[each.name for each in fields(HistoryRow)]
            )
        content = describe(model, data=data, settings=settings, parent=parent)
        if validation_top1 is not None:
            content[description.VALIDATION_TOP1] = validation_top1
        content |= dict(extra or {})
        description.write(folder, content)


def save_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `weights.safetensors`; no metadata, since the order of its keys varies by process.

    Each tensor is written as its own copy: fake-quant modules share theirs, which the format
    refuses.
    """
    own = {
        key: value.detach().clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }
    save_file(own, folder / WEIGHTS)


def describe(
    model: Classifier,
    *,
    data: Split,
    settings: Params,
    parent: Path | None,
    target: str = ONNX_RUNTIME,
) -> dict[str, Any]:
    """Return the content of `model.json`: what the model is, and what it was made from."""
    frame = model.preprocessing
    versions = releases.describe(to_onnx.OPSET, to_onnx.IR_VERSION)
    return {
        "format": 1,
        "architecture": model.architecture.to_dict(),
        "classes": list(model.classes),
        "input": {
            "name": to_onnx.INPUT,
            "dtype": "float32",
            "shape": ["batch", frame.channels, frame.height, frame.width],
        },
        "output": {"name": to_onnx.OUTPUT, "dtype": "float32"},
        "preprocessing": frame.to_dict() | {"steps": frame.steps},
        "pretrained": dict(model.pretrained) if model.pretrained else None,
        **_exchanged(model),
        "target": target,
        **(versions if target == ONNX_RUNTIME else {}),
        "made_with": determinism.circumstances(),
        "settings": settings.model_dump(mode="json"),
        "sha256": description.origins(data=data.digest, settings=settings, parent=parent),
    }


def _exchanged(model: Classifier) -> dict[str, Any]:
    """Return which activations others stand for, if any do, and which had to be left."""
    if model.architecture.activation == "keep":
        return {}
    # What most networks keep needs no code of it.
    from slimline.networks import activations

    return {"activations": activations.account(model.architecture, model.example)}


def load(folder: Path) -> Classifier:
    """Return the classifier of a folder, rebuilt from its description and tensor shapes, strictly.

    Raises:
        ArtifactError: the folder is incomplete, or its weights are not those of its description.
    """
    content, tensors = _read(folder)
    try:
        return classifier.rebuild(content, tensors)
    except ArtifactError as error:
        raise ArtifactError(f"{folder / WEIGHTS}: {error}") from None


def load_parts(folder: Path) -> tuple[Classifier, dict[str, Tensor]]:
    """Return the freshly built classifier of a folder, and its tensors, not yet loaded into it.

    Raises:
        ArtifactError: the folder is incomplete, or a file in it is damaged or of another model.
    """
    content, tensors = _read(folder)
    return classifier.fresh(content), tensors


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    content = description.read(folder)
    mistake = model_description.mistake(content, folder / description.DESCRIPTION)
    if mistake:
        raise ArtifactError(mistake)
    if (folder / WEIGHTS).is_file():
        description.check(folder / WEIGHTS)
    try:
        return content, load_file(folder / WEIGHTS)
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: no model to train on, {WEIGHTS} is missing") from None
    except SafetensorError as error:
        raise ArtifactError(f"{folder / WEIGHTS}: is damaged: {error}") from None
