"""The base class of all settings, and the one place where `params.yaml` is read.

Each section's class lives beside the code that it steers; `slimline.schema` joins them for the
check of the whole file. Sections load one by one, so that a stage runs the code of its own alone.
"""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from slimline.errors import ParamsError

PARAMS_PATH = Path("params.yaml")

SHARED: Mapping[str, Sequence[str]] = {
    "training": (
        "baseline_train.recipe",
        "backbone_swap.frozen",
        "backbone_swap.unfrozen",
        "prune.recover",
        "qat_finetune.recipe",
    ),
    "quantization": ("qat_finetune", "int8_ptq"),
}
"""Sections that stand once for several places; a place that has a key itself keeps its own."""

_MOVED = {
    "training": "batch_size, optimizer, label_smoothing, augment, step, balance, select_by and "
    "num_workers of all "
    "recipes now stand there once",
    "quantization": "activation_type, weight_bits, weights, calibrator and mixed of qat_finetune "
    "and int8_ptq now stand there once",
}
"""What a file written before a shared section was there must be told."""

T = TypeVar("T")


class Params(BaseModel):
    """A section of `params.yaml`: typed, frozen, and strict about keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class RunParams(Params):
    """The keys outside all sections: what makes a run repeatable."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of training: initial weights, order and augmentation of images; the splits have theirs,
    `data.seed`."""

    num_threads: Annotated[int, Field(ge=1, le=256)]
    """CPU threads of a stage, of each of its processes. Another count gives other bytes."""

    processes: Annotated[int, Field(ge=1, le=4096)]
    """Processes of a stage that trains, one for each GPU. Another count gives other bytes."""


def load(section: str, schema: type[T], path: Path = PARAMS_PATH) -> T:
    """Return the section of `params.yaml` as an object of `schema`, a class or a union.

    Raises:
        ParamsError: the file or the section is missing, or a key or value is not allowed.
    """
    content = read(path)
    if section not in content:
        raise ParamsError([f"{path}: section '{section}' is missing; the file has {list(content)}"])
    whole = with_shared(content, path, sections=[section])
    return check(whole[section], schema, path, section=section, written=content)


def with_shared(
    content: Mapping[str, Any], path: Path, sections: Collection[str]
) -> dict[str, Any]:
    """Return a file's content as if each place in `sections` had written out what it shares.

    Raises:
        ParamsError: a section that one of them shares is missing.
    """
    needed = {
        shared: [place for place in places if place.partition(".")[0] in sections]
        for shared, places in SHARED.items()
    }
    missing = [
        shared
        for shared, places in needed.items()
        if places and not isinstance(content.get(shared), Mapping)
    ]
    if missing:
        raise ParamsError(
            [f"{path}: section '{each}' is missing: {_MOVED[each]}" for each in missing]
        )
    whole = copy.deepcopy(dict(content))
    for section, places in needed.items():
        for place in places:
            *parents, last = place.split(".")
            parent = _at(whole, parents)
            if isinstance(parent, dict) and isinstance(parent.get(last), Mapping):
                parent[last] = _merged(content[section], parent[last])
    return whole


def flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested sections as one mapping, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def load_run(path: Path = PARAMS_PATH) -> RunParams:
    """Return `seed`, `num_threads` and `processes`.

    Raises:
        ParamsError: one of them is missing or not allowed.
    """
    content = read(path)
    return check({k: v for k, v in content.items() if k in RunParams.model_fields}, RunParams, path)


def read(path: Path) -> dict[str, Any]:
    """Return the plain content of a YAML 1.2 file, as DVC reads it.

    Raises:
        ParamsError: the file is missing, is no YAML, or is no mapping.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise ParamsError([f"{path}: the file is missing"]) from None
    except OSError as error:
        raise ParamsError([f"{path}: cannot be read: {error.strerror}"]) from None
    except YAMLError as error:
        raise ParamsError([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(content, dict):
        raise ParamsError([f"{path}: must be a mapping of sections, is {type(content).__name__}"])
    return content


def check(
    content: Any,
    schema: type[T],
    path: Path,
    section: str = "",
    written: Mapping[str, Any] | None = None,
) -> T:
    """Return `content` as an object of `schema`, or say all that is wrong with it.

    `written` is the whole file as it stands, where `content` has shared sections merged in: a
    mistake is told where it was made.

    Raises:
        ParamsError: one line per mistake: file, key, what was given, what is allowed.
    """
    try:
        checked: T = TypeAdapter(schema).validate_python(content)
    except ValidationError as error:
        raise ParamsError(list(_mistakes(error, content, path, section, written))) from None
    return checked


def check_patterns(
    patterns: Collection[str], names: Collection[str], *, key: str, kind: str
) -> None:
    """Refuse shell patterns that fit none of the names; `kind` is what has these names.

    Raises:
        ParamsError: one line per pattern, with all names.
    """
    idle = [each for each in patterns if not any(fnmatchcase(name, each) for name in names)]
    if idle:
        told = ", ".join(names)
        raise ParamsError(
            [
                f"{PARAMS_PATH}: {key}: {each!r} is the name of no {kind}; there are: {told}"
                for each in idle
            ]
        )


def _mistakes(
    error: ValidationError,
    content: Any,
    path: Path,
    section: str,
    written: Mapping[str, Any] | None,
) -> Iterator[str]:
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        keys = _keys_in_file(detail["loc"], content) + _tag(detail)
        name = ".".join([section, *keys] if section else keys)
        name = name if written is None else where(name, written)
        found.setdefault(name, _explain(detail, keys, content))
    for name, explained in found.items():
        # What a shared section lacks is no mistake of each place that shares it.
        if not any(other in found for other in _shared_names(name)):
            yield f"{path}: {name}: {explained}"


def where(name: str, written: Mapping[str, Any]) -> str:
    """Return where a key stands in a file: at its own place, or in a section that it shares.

    `name` has its parts joined by dots; `written` is the file's content, nothing merged in.
    """
    places = [name, *_shared_names(name)]
    return next((each for each in places if _at(written, each.split(".")) is not None), name)


def _shared_names(name: str) -> Iterator[str]:
    """Yield where a key may stand for several places."""
    for section, places in SHARED.items():
        for place in places:
            if name.startswith(f"{place}."):
                yield f"{section}.{name.removeprefix(f'{place}.')}"


def _at(content: Any, keys: Sequence[str]) -> Any:
    """Return what stands at a place, None where nothing does."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return both together; of what both have, the own."""
    both = {
        key: _merged(shared[key], own[key])
        for key in shared
        if key in own and isinstance(shared[key], Mapping) and isinstance(own[key], Mapping)
    }
    return {**copy.deepcopy(dict(shared)), **own, **both}


def _keys_in_file(loc: Sequence[int | str], content: Any) -> list[str]:
    """Drop from pydantic's location what the user did not write: the tags of unions."""
    keys: list[str] = []
    for position, step in enumerate(loc):
        is_last = position == len(loc) - 1
        if isinstance(content, Mapping) and step not in content and not is_last:
            continue
        keys.append(str(step))
        if isinstance(content, Mapping):
            content = content.get(step)
        elif isinstance(content, list) and isinstance(step, int):
            content = content[step]
    return keys


def _tag(detail: Any) -> list[str]:
    """Return the key that chooses a member of a union, where that is what is wrong."""
    is_tag = detail["type"] in ("union_tag_invalid", "union_tag_not_found")
    return [detail["ctx"]["discriminator"].strip("'")] if is_tag else []


def _explain(detail: Any, keys: list[str], content: Any) -> str:
    if detail["type"] in ("missing", "union_tag_not_found"):
        return "is missing"
    if detail["type"] == "union_tag_invalid":
        given = _shorten(detail["input"][_tag(detail)[0]])
        return f"should be one of {detail['ctx']['expected_tags']} (given {given})"
    given = _shorten(detail["input"])
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(keys[-1], _siblings(content, keys), 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return f"is no setting that Slimline knows (given {given}){hint}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{message} (given {given})"


def _siblings(content: Any, keys: list[str]) -> list[str]:
    for key in keys[:-1]:
        content = content.get(key, {}) if isinstance(content, Mapping) else {}
    return [str(key) for key in content if key != keys[-1]] if isinstance(content, Mapping) else []


def _shorten(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
