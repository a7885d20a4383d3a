"""Tensors out of a checkpoint as scripts write it: nested, prefixed, with much beside them.

No pickled code is run: torch reads with `weights_only=True`, and the few harmless classes that
scripts put beside weights (`argparse.Namespace`, numpy's scalars, paths) are allowed.
"""

import argparse
import collections
import pathlib
import pickle
import re
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from slimline.errors import PretrainedError
from slimline.networks import checkpoint_kind
from slimline.networks.checkpoint_kind import SAVE_RIGHT

_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Where weights stand, the likeliest first: the ones that were trained, not their average."""

_NOT_WEIGHTS = ("optimizer", "optim_", "sched", "scaler", "lr_", "amp", "rng")
"""Beginnings of keys that hold tensors of something else."""

_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of names that torch.compile and wrappers for several devices put in, wherever the part of
the network begins that they wrapped."""

_LABEL_KEYS = ("classes", "CLASSES", "class_names", "labels", "class_to_idx", "idx_to_class")
_META_KEYS = ("", "meta", "args", "hyper_parameters", "config")

_DEPTH = 4

_HARMLESS = [
    argparse.Namespace,
    types.SimpleNamespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    (pathlib.PurePosixPath, "pathlib.WindowsPath"),
    (pathlib.PosixPath, "pathlib._local.PosixPath"),
    np.dtype,
    np.ndarray,
    *(getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")),
    *(
        (function, f"{module}.{name}")
        for name, function in (
            ("scalar", np.float64(0).__reduce__()[0]),
            ("_reconstruct", np.zeros(0).__reduce__()[0]),
        )
        for module in ("numpy._core.multiarray", "numpy.core.multiarray")
    ),
]
"""Classes without side effects; with the names that other versions give them."""


@dataclass(frozen=True)
class Content:
    """What was found in a file."""

    tensors: Mapping[str, Tensor]
    """Float32 where they are floats, by names without what wrappers put before them."""
    labels: tuple[str, ...]
    """Names of the classes in the order of the head, if the file has them."""
    labels_key: str
    """Under which they stand; empty where there are none."""
    taken: str
    """Where in the file the tensors stood; empty for the file as a whole."""
    others: tuple[str, ...]
    """What could have been taken instead."""


def read(path: Path, own: Collection[str], take: str | None = None) -> Content:
    """Return the tensors of a file for a network whose tensors are named `own`.

    Raises:
        PretrainedError: the file holds no such tensors, or several sets of them of which none is
            the usual one.
    """
    whole = _load(path)
    sets = {
        ".".join(part for part in (place, prefix.rstrip(".")) if part): each
        for place, found in _places(whole)
        for prefix, each in _by_prefix(found, own).items()
    }
    fitting = {name: each for name, each in sets.items() if not set(own).isdisjoint(each)}
    sets = fitting or sets
    if not sets:
        raise PretrainedError(
            f"{path}: holds no state_dict, a mapping of names to tensors; {SAVE_RIGHT}"
        )
    taken = _choice(path, list(sets), take)
    key, labels = _labels(whole)
    return Content(
        {
            name: each.float() if each.is_floating_point() else each
            for name, each in sets[taken].items()
        },
        labels,
        key,
        taken,
        tuple(name for name in sets if name != taken),
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of safetensors, as they stand there.

    Raises:
        PretrainedError: it is damaged.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise PretrainedError(f"{path}: is a damaged file of safetensors: {error}") from None


def _choice(path: Path, names: list[str], take: str | None) -> str:
    """Return which of several sets of weights is meant."""
    if take is not None:
        if take.rstrip(".") not in names:
            raise PretrainedError(
                f"{path}: has no weights under {take!r}, which the JSON file beside it takes; "
                f"there are {', '.join(map(repr, names))}"
            )
        return take.rstrip(".")
    if len(names) == 1:
        return names[0]
    averages = [name for name in names if re.search(r"ema|avg|average|swa", name.lower())]
    trained = [name for name in names if name not in averages] or names
    for usual in _USUAL:
        for name in trained:
            if name == usual:
                return name
    within = [name for name in trained if name.partition(".")[0] in {"", *_USUAL}]
    for likely in (within, trained):
        if len(likely) == 1:
            return likely[0]
    raise PretrainedError(
        f"{path}: has several sets of weights, {', '.join(map(repr, names))}; say which in the "
        f'JSON file beside it, as {{"take": "{names[0]}"}}'
    )


def _load(path: Path) -> Any:
    """Return what is in a file, reading no pickled code."""
    if checkpoint_kind.kind(path) == "safetensors":
        return read_safetensors(path)
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise PretrainedError(f"{path}: {_unpicklable(str(error))}") from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
        raise PretrainedError(f"{path}: is damaged, torch cannot read it: {reason}") from None


def _unpicklable(told: str) -> str:
    """Say in our words what torch refused; its own advice is to switch safety off."""
    found = re.search(r"GLOBAL ([\w.]+)|got <class '([\w.]+)'>", told)
    if found is None:
        return f"holds more than tensors and plain values; {SAVE_RIGHT}"
    name = found.group(1) or found.group(2)
    is_module = name.startswith(("torch.nn.", "torchvision.", "timm.", "__main__."))
    what = "a whole module was pickled" if is_module else "it was pickled beside the weights"
    return (
        f"holds a Python object, {name} ({what}), which could run any code when it is read; "
        f"{SAVE_RIGHT}"
    )


def _places(
    content: Any, path: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield every mapping of names to tensors in a checkpoint, and where it stands."""
    if not isinstance(content, Mapping) or depth > _DEPTH:
        return
    tensors = {
        key: each
        for key, each in content.items()
        if isinstance(key, str) and isinstance(each, Tensor)
    }
    if tensors:
        yield path, tensors
    for key, each in content.items():
        if isinstance(key, str) and not key.lower().startswith(_NOT_WEIGHTS):
            yield from _places(each, f"{path}.{key}" if path else key, depth + 1)


def _by_prefix(tensors: Mapping[str, Tensor], own: Collection[str]) -> dict[str, dict[str, Tensor]]:
    """Return, by prefix, the tensors that stand under it, named as a network names its own.

    A prefix is whatever stands before the network's names most often; others count as another set
    of weights if they have at least half as many, as that of a teacher or of an average. Tensors
    under no such prefix stay beside the first set, so that they can be told of.
    """
    plain = {_unwrapped(name): each for name, each in tensors.items()}
    # A network may have a part of its own that is called as a wrapper's.
    spelled = {_unwrapped(name): name for name in own}
    known = set(spelled)
    counts: collections.Counter[str] = collections.Counter()
    for name in plain:
        parts = name.split(".")
        counts.update(
            ".".join([*parts[:at], ""]) for at in range(len(parts)) if ".".join(parts[at:]) in known
        )
    if not counts:
        return {"": dict(plain)} if any(each.dim() > 1 for each in plain.values()) else {}
    most = max(counts.values())
    prefixes = [each for each, count in counts.items() if 2 * count >= most]
    return {
        prefix: {
            spelled.get(name.removeprefix(prefix), name.removeprefix(prefix)): each
            for name, each in plain.items()
            if name.startswith(prefix)
            or not any(name.startswith(other) for other in prefixes if other)
        }
        for prefix in prefixes
    }


def _unwrapped(name: str) -> str:
    """Return a name without what wrappers put in; no published network has such parts."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _labels(whole: Any) -> tuple[str, tuple[str, ...]]:
    """Return a key and the names of the classes under it, both empty if a checkpoint has none."""
    if not isinstance(whole, Mapping):
        return "", ()
    for place in _META_KEYS:
        meta = whole if place == "" else whole.get(place)
        if isinstance(meta, argparse.Namespace | types.SimpleNamespace):
            meta = vars(meta)
        if isinstance(meta, Mapping):
            found = ((key, _as_names(meta.get(key))) for key in _LABEL_KEYS)
            named = next((each for each in found if each[1]), None)
            if named:
                return named
    return "", ()


def _as_names(given: Any) -> tuple[str, ...]:
    """Return a list of names, be it a list, or a mapping of names to numbers or back."""
    if isinstance(given, Mapping) and given:
        items = list(given.items())
        if all(isinstance(number, int) for _, number in items):
            items = [(number, name) for name, number in items]
        by_number = {int(key): name for key, name in items if str(key).isdigit()}
        if sorted(by_number) != list(range(len(items))):
            return ()
        given = [by_number[number] for number in range(len(items))]
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        return ()
    return tuple(given)
