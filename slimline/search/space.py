"""The space of a search: whether `params.yaml` allows it, and what single settings are called."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

from slimline import params
from slimline.errors import ParamsError
from slimline.search.settings import Searched, SearchParams, Value

Settings: TypeAlias = Mapping[str, Value]
"""Values by key of `params.yaml`, joined by dots: those of the space that count."""

Refuse: TypeAlias = Callable[[Mapping[str, Any]], Sequence[str]]
"""The check of a whole `params.yaml`, given as plain content: one line per mistake."""

SECTIONS = (
    "backbone_swap",
    "sensitivity",
    "prune",
    "quantization",
    "int8_sensitivity",
    "qat_finetune",
    "int8_export",
)
"""What can be searched: all that makes the product out of the baseline. The rest decides what is
measured or compared with, which a search must not choose."""

_DRAWN = 100
"""Settings of which at least one must be allowed, before anything is trained."""

_PARTNERS = 20
"""With how many of them a value that the file as it is does not allow is tried."""


def check(search: SearchParams, written: Mapping[str, Any], refuse: Refuse, path: Path) -> None:
    """Compare a space with the file that it stands in; `written` is its content.

    Raises:
        ParamsError: a key is none, a value is outside its range, or no settings are allowed.
    """
    if not search.space:
        return
    known = params.flat(params.with_shared(written, path, written))
    mistakes = [
        f"{path}: search.space.{key}: {_unfit(key, known)}"
        for key in search.space
        if _unfit(key, known)
    ]
    generator = random.Random(search.seed)  # noqa: S311
    drawn = [draw(search, generator) for _ in range(_DRAWN)] if not mistakes else []
    for key, searched in search.space.items() if not mistakes else ():
        for value in searched.ends:
            alone = refuse(with_settings(written, {key: value}))
            # Other keys of the space may allow it.
            if alone and all(
                refuse(with_settings(written, {**each, key: value})) for each in drawn[:_PARTNERS]
            ):
                mistakes.append(f"{path}: search.space.{key}: {_told_of(key, alone)}")
    if mistakes:
        raise ParamsError(mistakes)
    refused: Sequence[str] = ()
    for settings in drawn:
        refused = refuse(with_settings(written, settings))
        if not refused:
            return
    raise ParamsError(
        [
            f"{path}: search.space: none of {_DRAWN} settings drawn from it is allowed; of the "
            f"last it is said: {'; '.join(refused)}"
        ]
    )


def draw(search: SearchParams, generator: random.Random) -> dict[str, Value]:
    """Return settings drawn by chance, evenly over the space."""

    def choose(_: str, searched: Searched) -> Value:
        if searched.choices is not None:
            return generator.choice(searched.choices)
        assert searched.low is not None
        assert searched.high is not None
        if searched.is_whole:
            return int(searched.low) + generator.randrange(int(searched.count)) * int(
                searched.step or 1
            )
        if searched.step is not None:
            steps = generator.randrange(int(searched.count))
            return searched.plain(searched.low + steps * searched.step)
        if searched.log:
            ratio = searched.high / searched.low
            return searched.plain(float(searched.low * ratio ** generator.random()))
        return searched.plain(generator.uniform(searched.low, searched.high))

    return settle(search, choose)


def settle(search: SearchParams, choose: Callable[[str, Searched], Value]) -> dict[str, Value]:
    """Return a value for each key that counts, asked for one after another."""
    settings: dict[str, Value] = {}
    for key in search.keys:
        searched = search.space[key]
        if all(settings.get(other) in values for other, values in searched.only_if.items()):
            settings[key] = choose(key, searched)
    return settings


def start(search: SearchParams, written: Mapping[str, Any], path: Path) -> dict[str, Value] | None:
    """Return what the file itself has, None where that is not in the space."""
    known = params.flat(params.with_shared(written, path, written))
    outside = False

    def choose(key: str, searched: Searched) -> Value:
        nonlocal outside
        value: Value = known[key]
        outside = outside or not searched.has(value)
        return value

    found = settle(search, choose)
    return None if outside else found


def count(search: SearchParams) -> float:
    """Return the most settings that there can be; infinite where a key takes any number."""
    return prod(each.count for each in search.space.values())


def name(settings: Settings) -> str:
    """Return what settings are called: 12 hex digits of a hash, the same for the same values."""
    plain = {key: float(v) if type(v) is int else v for key, v in settings.items()}
    text = json.dumps(plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def with_settings(written: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the content of a file with some values changed."""
    content = copy.deepcopy(dict(written))
    for key, value in settings.items():
        section = content
        *parents, last = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return content


def _unfit(key: str, known: Mapping[str, Any]) -> str:
    """Say why a key cannot be searched; nothing where it can."""
    if key not in known:
        near = get_close_matches(key, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else "write it as prune.recover.epochs"
        return f"is no setting that Slimline knows; {hint}"
    if key.partition(".")[0] not in SECTIONS:
        return (
            "decides what is measured or compared with, or is shared with the baseline, and cannot "
            f"be searched; keys of {_told(SECTIONS)} can, as prune.recover.batch_size"
        )
    return ""


def _told(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _told_of(key: str, mistakes: Sequence[str]) -> str:
    """Return what is said of a key; of its section, or of another key, where nothing is."""
    for mistake in mistakes:
        place, _, told = mistake.partition(f"{key}: ")
        if told and place.endswith(": "):
            return told
    return mistakes[0].partition(": ")[2]
