"""The space of a search: whether `params.yaml` allows it, and what single settings are called."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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

_BY_LAYER = ("prune.layers",)
"""Mappings whose keys are patterns of layer names."""

_OTHER_NETWORK = (
    "backbone_swap.backbone",
    "backbone_swap.stem_stride",
    "backbone_swap.stem_kernel",
)
"""Keys that make another network, of which the table of times has no layers."""

_DRAWN = 100
"""Settings of which at least one must be allowed, before anything is trained."""

_SMALL = 10_000
"""Settings of a space that can be gone through one by one, where chance finds no other."""

_PARTNERS = 20
"""With how many of them a value that the file as it is does not allow is tried."""


def check(search: SearchParams, written: Mapping[str, Any], refuse: Refuse, path: Path) -> None:
    """Compare a space with the file that it stands in; `written` is its content.

    Raises:
        ParamsError: a key is none, or never counts, a value is outside its range, the goal has no
            limit on accuracy or no table, or no settings are allowed.
    """
    if not search.space:
        return
    whole = params.with_shared(written, path, written)
    unfit = {key: _unfit(key, whole) for key in search.space}
    mistakes = [f"{path}: search.space.{key}: {told}" for key, told in unfit.items() if told]
    mistakes += [f"{path}: search.{told}" for told in _contradictions(search)]
    generator = random.Random(search.seed)  # noqa: S311
    drawn = [draw(search, generator) for _ in range(_DRAWN)] if not mistakes else []
    for key, searched in search.space.items() if not mistakes else ():
        wrong = (_refused(key, value, written, drawn, refuse) for value in searched.ends)
        # One sentence a key: the next value is most often wrong likewise.
        mistakes += [f"{path}: search.space.{key}: {told}" for told in wrong if told][:1]
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
        if searched.is_whole or searched.step is not None:
            return searched.at(generator.randrange(int(searched.count)))
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
        if _counts(searched, settings):
            settings[key] = choose(key, searched)
    return settings


def _counts(searched: Searched, settings: Settings) -> bool:
    return all(settings.get(other) in values for other, values in searched.only_if.items())


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


def rest(search: SearchParams, tried: Collection[str]) -> Iterator[dict[str, Value]]:
    """Yield all settings that are not tried, in order; of a space that is not small, none."""
    if not is_small(search):
        return
    found: list[dict[str, Value]] = [{}]
    for key in search.keys:
        searched = search.space[key]
        found = [
            {**settings, **added}
            for settings in found
            for added in (
                [{key: value} for value in searched.values] if _counts(searched, settings) else [{}]
            )
        ]
    yield from (settings for settings in found if name(settings) not in tried)


def is_small(search: SearchParams) -> bool:
    """Return whether all that is in the space can be looked at."""
    return count(search) <= _SMALL


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


def _refused(
    key: str,
    value: Value,
    written: Mapping[str, Any],
    drawn: Sequence[Settings],
    refuse: Refuse,
) -> str:
    """Say why a key cannot have a value, whatever the others are; nothing where it can."""
    alone = refuse(with_settings(written, {key: value}))
    # Other keys of the space may allow it.
    if alone and all(
        refuse(with_settings(written, {**each, key: value})) for each in drawn[:_PARTNERS]
    ):
        return _told_of(key, alone)
    return ""


def _unfit(key: str, whole: Mapping[str, Any]) -> str:
    """Say why a key cannot be searched; nothing where it can."""
    known = params.flat(whole)
    fit = [each for each in known if each.partition(".")[0] in SECTIONS]
    if key in fit:
        return ""
    if key in known:
        return (
            "decides what is measured or compared with, or is shared with the baseline, and cannot "
            f"be searched; keys of {_told(SECTIONS)} can, as prune.recover.batch_size"
        )
    inside = [each for each in fit if each.startswith(f"{key}.")]
    if inside:
        return f"is a section; search single keys of it, as {inside[0]}"
    if any(key == each or key.startswith(f"{each}.") for each in _BY_LAYER):
        return "is by names of layers, which a search does not know; set it in the file"
    near = get_close_matches(key, fit, 1)
    hint = f"did you mean '{near[0]}'?" if near else "write it as prune.recover.epochs"
    return f"is no setting that Slimline knows; {hint}"


def _contradictions(search: SearchParams) -> list[str]:
    """Return what in the goal and its space speaks against itself, by its place in the section."""
    limits, space = search.limits, search.space
    found = []
    if limits.max_top1_drop is None and limits.min_top1 is None:
        found.append(
            "limits: must have max_top1_drop or min_top1: the smallest model of all answers "
            "nothing right"
        )
    found += [
        f"space.{key}: latency is by data/layer_times.json, a table of one network; leave the key "
        "out, or search for macs_m or size_kib without max_latency_ms"
        for key in _OTHER_NETWORK
        if key in space and search.needs_latency
    ]
    wrong = [
        f"space.{key}.only_if: {told}"
        for key, searched in space.items()
        for told in _wrong_conditions(searched, space)
    ]
    if wrong:
        return found + wrong
    try:
        ordered = search.keys
    except ValueError as error:
        return [*found, f"space: only_if goes in a circle: {error}"]
    return found + [
        f"space.{key}: never counts: {_never(key, space)} would have two values at once"
        for key in ordered
        if _never(key, space)
    ]


def _wrong_conditions(searched: Searched, space: Mapping[str, Searched]) -> Iterator[str]:
    for other, values in searched.only_if.items():
        if other not in space:
            yield f"{other} is no key of the space"
        elif not values:
            yield f"{other} never is []"
        else:
            wrong = [each for each in values if not space[other].has(each)]
            if wrong:
                yield f"{other} never is {wrong[0]!r}"


def _never(key: str, space: Mapping[str, Searched]) -> str:
    """Return the key of which `only_if`, its own and those of what it names, leaves no value."""
    allowed: dict[str, list[Value]] = {}
    waiting = [key]
    while waiting:
        for other, values in space[waiting.pop()].only_if.items():
            allowed[other] = [each for each in values if each in allowed.get(other, values)]
            if not allowed[other]:
                return other
            waiting.append(other)
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
