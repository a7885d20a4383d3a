"""Finds what a network calls by no fixed name: its first convolution, its head, its stages.

It is run once on black images, and each layer notes when it is called. A network may also say its
parts in an attribute `pretrained_cfg`, by the keys that timm has, and `stages`; that is checked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from slimline.errors import NetworkError
from slimline.networks import users_code
from slimline.networks.architecture import stride_and_kernel
from slimline.networks.evaluation import evaluating

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_MAIN_SHARE = 0.9
"""Of the weights between stem and head, that a part must hold for its own to be the stages."""

_LAYERS = (nn.Conv2d, nn.Linear)

_LISTED = 8
"""Names in a sentence."""


@dataclass(frozen=True)
class Parts:
    """Where a network begins and ends, by the names of its modules."""

    stem: str
    """The first convolution; a linear layer where the network begins with one."""
    beside: tuple[str, ...]
    """The other layers that read the image itself."""
    head: str
    """The last layer with weights, which gives the answer, or the part that ends in it."""
    trunk: tuple[str, ...]
    """What lies between, in order of execution."""
    stages: tuple[str, ...]
    """Those parts of the trunk that have layers, and not normalisation alone."""


@dataclass(frozen=True)
class Said:
    """What a network says of its parts, by the names of modules; empty where it says nothing.

    Of several stems the first that is called counts, of several heads the last: timm names all.
    """

    first_conv: tuple[str, ...] = ()
    classifier: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


def said_by(network: nn.Module, num_classes: int) -> Said:
    """Return what the attribute `pretrained_cfg` says of a network that answers so many classes.

    Raises:
        NetworkError: the network has no such module, or it is none that can be what is said.
    """
    given = getattr(network, "pretrained_cfg", None)
    if not isinstance(given, Mapping):
        return Said()
    modules = dict(network.named_modules())
    begins = [name for name in modules if isinstance(modules[name], _LAYERS)]
    ends = [name for name in modules if name and _answers(modules[name], num_classes)]
    weighty = [name for name in modules if name and _weights(modules[name])]
    return Said(
        _names(given, "first_conv", begins, "an nn.Conv2d, or an nn.Linear over patches"),
        _names(
            given, "classifier", ends,
            f"an nn.Linear or nn.Conv2d with an output for each class ({num_classes} here), or a "
            "part that ends in one",
        ),
        _names(given, "stages", weighty, "modules with weights, in a list"),
    )  # fmt: skip


def _names(
    given: Mapping[str, object], key: str, allowed: Collection[str], what: str
) -> tuple[str, ...]:
    """Return the names under a key; none where it is missing or empty, as timm may have it."""
    value = given.get(key) or ()
    names = (value,) if isinstance(value, str) and key != "stages" else value
    if isinstance(names, list | tuple) and all(name in allowed for name in names):
        return tuple(names)
    listed = ", ".join(itertools.islice(allowed, _LISTED)) or "none"
    more = f" and {len(allowed) - _LISTED} more" if len(allowed) > _LISTED else ""
    raise NetworkError(
        f"pretrained_cfg: {key}: must name {what} (given {value!r}; there are {listed}{more})"
    )


def _answers(module: nn.Module, num_classes: int) -> bool:
    """Return whether the last layer in a module has an output for each class."""
    layers = [each for each in module.modules() if isinstance(each, _LAYERS)]
    return bool(layers) and len(layers[-1].weight) == num_classes


def find(
    network: nn.Module, order: Sequence[str], said: Said, reading: Sequence[str] = ()
) -> Parts:
    """Return the parts of a network that calls its modules in that order.

    `reading` are the layers that read the image itself, where they were found.

    Raises:
        NetworkError: it does not begin with a layer and end with another, or what is said of it is
            not what it does.
    """
    layers = [name for name in order if isinstance(network.get_submodule(name), _LAYERS)]
    if not layers:
        raise NetworkError("it calls no nn.Conv2d or nn.Linear")
    if said.first_conv:
        reading = _called(order, "first_conv", said.first_conv)
        stem = reading[0]
    else:
        reading = reading if layers[0] in reading else layers[:1]
        stem = _first_convolution(network, layers, reading)
    head = _called(order, "classifier", said.classifier or layers)[-1]
    if stem == head:
        raise NetworkError(f"it has a single layer, {stem}")
    if _overlap(stem, head) or _place(order, head) < _place(order, stem):
        raise NetworkError(
            f"pretrained_cfg: first_conv, classifier: {head}, the head, must be called behind "
            f"{stem}, the first layer"
        )
    _check_stages(order, said.stages, stem, head)
    trunk = _trunk(network, order, (stem, head), said.stages)
    found = tuple(part for part in trunk if _has_layers(network.get_submodule(part)))
    beside = tuple(each for each in reading if each != stem)
    return Parts(stem, beside, head, tuple(trunk), said.stages or found)


def _first_convolution(network: nn.Module, layers: Sequence[str], reading: Collection[str]) -> str:
    """Return the layer that is called first; of branches that are added, the one that sees most."""
    begin = itertools.takewhile(lambda each: each in reading, layers)
    shapes = {name: stride_and_kernel(network.get_submodule(name)) for name in begin}
    stride, _ = shapes[layers[0]]
    return max(
        (each for each in shapes if shapes[each][0] == stride), key=lambda each: shapes[each]
    )


def _called(order: Sequence[str], key: str, names: Sequence[str]) -> list[str]:
    """Return those that are called, in order.

    Raises:
        NetworkError: none of them is.
    """
    called = {name: _place(order, name) for name in names}
    found = [name for name in names if called[name] >= 0]
    if not found:
        raise NetworkError(f"pretrained_cfg: {key}: {', '.join(names)} is not called when it runs")
    return sorted(found, key=lambda name: called[name])


def _check_stages(order: Sequence[str], stages: Sequence[str], stem: str, head: str) -> None:
    """Compare the stages that are said with what runs.

    Raises:
        NetworkError: one is not called, not between its neighbours, or shares modules with another.
    """
    parts = [stem, *stages, head]
    for place, stage in enumerate(stages, 1):
        before, when = parts[place - 1], _place(order, stage)
        shared = [each for each in parts[:place] + parts[place + 1 :] if _overlap(stage, each)]
        if when < 0:
            fault = "is not called when it runs"
        elif shared:
            fault = f"overlaps with {shared[0]}"
        elif when < _place(order, before):
            fault = f"is called before {before}"
        elif when > _place(order, head):
            fault = f"is called after {head}"
        else:
            continue
        raise NetworkError(
            f"pretrained_cfg: stages: must lie between {stem} and {head}, apart from each other, "
            f"in the order in which they are called ({stage} {fault}; given {list(stages)})"
        )


def run(network: nn.Module, *, channels: int, size: int) -> list[str]:
    """Return the names of all modules in the order in which they are first called.

    The network takes float32 [batch, channels, size, size].

    Raises:
        NetworkError: it cannot be run.
    """
    called: dict[str, None] = {}

    def note(name: str) -> Any:
        return lambda *_: called.setdefault(name)

    hooks = [
        each.register_forward_pre_hook(note(name)) for name, each in network.named_modules() if name
    ]
    try:
        _answer(network, channels=channels, size=size)
    finally:
        for hook in hooks:
            hook.remove()
    return list(called)


def readers(network: nn.Module, *, channels: int, size: int) -> list[str]:
    """Return the layers that read the image itself, in the order in which they are called.

    They are those to which a gradient leads back from no other layer: a first convolution, those
    beside it, and what a skip from the image ends in. Empty where that cannot be told.
    """
    found: dict[str, None] = {}

    def note(name: str) -> Any:
        def hook(_: object, given: tuple[object, ...], returned: Tensor) -> Tensor:
            if any(isinstance(each, Tensor) and each.requires_grad for each in given):
                found.setdefault(name)
            return returned.detach()

        return hook

    layers = [pair for pair in network.named_modules() if isinstance(pair[1], _LAYERS)]
    trained = [each for each in network.parameters() if each.requires_grad]
    hooks = [each.register_forward_hook(note(name)) for name, each in layers]
    try:
        network.requires_grad_(False)
        with torch.enable_grad():
            image = torch.zeros(2, channels, size, size, requires_grad=True)
            _answer_to(network, image.clone())
    except NetworkError:
        return []
    finally:
        for hook in hooks:
            hook.remove()
        for each in trained:
            each.requires_grad_(True)
    return list(found)


def classifying(network: nn.Module, head: str, num_classes: int, *, size: int) -> tuple[str, ...]:
    """Return the names of the parameters that classify, where some are read behind the last layer.

    They are those to which a gradient leads back from the answer through no layer, and those of the
    head, if it has an output for each class. Empty where the head alone answers.
    """
    behind = _read_behind(network, channels=3, size=size)
    if _answers(network.get_submodule(head), num_classes):
        own = [f"{head}.{name}" for name, _ in network.get_submodule(head).named_parameters()]
        return (*own, *behind) if behind else ()
    # Normalisation and attention of torch's own belong to what is before: a head is the user's.
    return tuple(
        name
        for name in behind
        if not type(network.get_submodule(name.rpartition(".")[0])).__module__.startswith("torch.")
    )


def _read_behind(network: nn.Module, *, channels: int, size: int) -> list[str]:
    """Return the names of the parameters on which the answer depends otherwise than by a layer."""

    def detached(_: object, __: object, returned: Tensor) -> Tensor:
        return returned.detach()

    layers = [each for each in network.modules() if isinstance(each, _LAYERS)]
    named = network.named_parameters()
    weights = {name: each for name, each in named if each.is_floating_point()}
    fixed = [each for each in weights.values() if not each.requires_grad]
    hooks = [each.register_forward_hook(detached) for each in layers]
    try:
        for each in weights.values():
            each.requires_grad_(True)
        with torch.enable_grad():
            answer = _answer_to(network, torch.zeros(2, channels, size, size))
            if not isinstance(answer, Tensor) or not answer.requires_grad:
                return []
            found: Sequence[Tensor | None] = torch.autograd.grad(
                answer.sum(), list(weights.values()), allow_unused=True
            )
    except NetworkError:
        return []
    finally:
        for hook in hooks:
            hook.remove()
        for each in fixed:
            each.requires_grad_(False)
    return [name for name, each in zip(weights, found, strict=True) if each is not None]


def decides(network: nn.Module, part: str, *, channels: int, size: int) -> bool:
    """Return whether the answer depends on what a part returns, as it does on its head.

    It does where the answer is no number once the part returns none. What cannot be told is taken
    for true.
    """

    def spoil(_: object, __: object, returned: object) -> object:
        return returned * math.nan if isinstance(returned, Tensor) else returned

    hook = network.get_submodule(part).register_forward_hook(spoil)
    try:
        answer = _answer(network, channels=channels, size=size)
    except NetworkError:
        return True
    finally:
        hook.remove()
    return not isinstance(answer, Tensor) or bool(answer.isnan().any())


def _answer(network: nn.Module, *, channels: int, size: int) -> object:
    with torch.no_grad():
        return _answer_to(network, torch.zeros(2, channels, size, size))


def _answer_to(network: nn.Module, images: Tensor) -> object:
    try:
        with evaluating(network):
            return network(images)
    except Exception as error:
        size = " x ".join(map(str, images.shape[1:]))
        raise NetworkError(f"does not run on images of {size}: {users_code.told(error)}") from error


def _trunk(
    network: nn.Module, order: Sequence[str], ends: tuple[str, str], stages: Sequence[str]
) -> list[str]:
    """Return the largest parts with weights between stem and head, in order of execution.

    A part in which nearly all weights are is no part: its own parts are. A stage that is said is
    one part. What has layers that are called before the stem or behind the head is none, as a
    second head.
    """
    total = _weights(network) - sum(_weights(network.get_submodule(each)) for each in ends)
    waiting = [name for name, _ in network.named_children()]
    found = []
    while waiting:
        part = waiting.pop(0)
        module = network.get_submodule(part)
        inside = [f"{part}.{child}" for child, _ in module.named_children()]
        is_main = _weights(module) > _MAIN_SHARE * total and len(inside) > 1
        holds = any(_within(each, part) for each in (*ends, *stages))
        if part in ends:
            continue
        if inside and part not in stages and (holds or is_main):
            waiting = inside + waiting
        elif _weights(module):
            found.append(part)
    begin, end = (_place(order, each) for each in ends)
    first = {part: _place(order, part) for part in found}
    between = [
        part
        for part in found
        if first[part] >= 0
        and begin < min(_layer_places(network, order, part), default=end - 1) < end
    ]
    return sorted(between, key=lambda part: first[part])


def _layer_places(network: nn.Module, order: Sequence[str], part: str) -> list[int]:
    """Return when the layers of a part are first called, of those that are."""
    named = network.get_submodule(part).named_modules(prefix=part)
    names = {name for name, module in named if isinstance(module, _LAYERS)}
    return [place for place, name in enumerate(order) if name in names]


def _place(order: Sequence[str], part: str) -> int:
    """Return when a part or anything in it is called first; -1 for never."""
    return next((place for place, name in enumerate(order) if _within(name, part)), -1)


def _has_layers(module: nn.Module) -> bool:
    return any(isinstance(each, _LAYERS) for each in module.modules())


def _overlap(one: str, other: str) -> bool:
    return _within(one, other) or _within(other, one)


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _weights(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())
