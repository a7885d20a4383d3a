"""Merge settings of a file into params.yaml, keeping its comments.

  python -m slimline apply examples/photos.params.yaml
  python -m slimline apply examples/photos.params.yaml data.source=shoes

The file holds the keys that differ, laid out as in params.yaml; those that it leaves out stay as
they are. Single values may follow, or stand alone, keys joined by dots; what comes later wins.
Prints what changed; nothing is written if one value is wrong. `git restore params.yaml` is the
way back.
"""

from __future__ import annotations

import copy
import io
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

_WIDTH = 4096
"""No value is broken into lines."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "changes",
        metavar="FILE|KEY=VALUE",
        nargs="+",
        help="a YAML file with the keys that differ, or a single value, as data.source=shoes",
    )


def run(arguments: Namespace) -> int:
    """Merge, check and write; print a line for each value that changed."""
    from slimline import files, params, schema

    path = params.PARAMS_PATH
    # What is wrong in it may be what is to be mended.
    params.read(path)
    merged = _yaml().load(path)
    before = params.flat(merged)
    for change in _changes(arguments.changes):
        _merge(merged, change)
    text = _text(merged)
    given = " ".join(arguments.changes)
    # As DVC and the stages will read it.
    schema.check_content(_plain(text), Path(f"{path} with {given}"))
    files.write_text(path, text)
    for key, value in params.flat(merged).items():
        if key not in before:
            print(f"{key}: {_value_text(value)}")
        elif before[key] != value:
            print(f"{key}: {_value_text(before[key])} -> {_value_text(value)}")
    after = params.flat(merged)
    for key in (each for each in before if each not in after):
        print(f"{key}: {_value_text(before[key])}, taken out")
    return 0


def _changes(given: Sequence[str]) -> Iterator[CommentedMap]:
    """Yield what is to be merged: a file's content, or one value within its sections.

    Raises:
        ParamsError: a file is missing or is no mapping of sections, or a value is no YAML.
    """
    from slimline import params

    for each in given:
        key, is_value, value = each.partition("=")
        if is_value and not Path(each).exists():
            yield _single(key, value)
        else:
            params.read(Path(each))
            yield _yaml().load(Path(each))


def _single(key: str, value: str) -> CommentedMap:
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    from slimline.errors import ParamsError

    try:
        content = _yaml().load(value)
    except YAMLError as error:
        told = " ".join(str(error).split())
        raise ParamsError([f"{key}={value}: is not valid YAML: {told}"]) from None
    *sections, last = key.split(".")
    nested = CommentedMap({last: content})
    for name in reversed(sections):
        nested = CommentedMap({name: nested})
    return nested


def _merge(into: CommentedMap, given: CommentedMap) -> None:
    """Put all values of one mapping into another; sections are merged, lists are replaced."""
    from ruamel.yaml.comments import CommentedMap

    for key, value in given.items():
        if (
            isinstance(value, CommentedMap)
            and value  # an empty one empties what is there
            and isinstance(into.get(key), CommentedMap)
            and into[key]
        ):
            _merge(into[key], value)
        elif key in into:
            _replace(into, key, value)
        else:
            _append(into, key, value)


def _replace(section: CommentedMap, key: str, value: Any) -> None:
    """Set a value on its line, the comment behind it as far away as it was."""
    from ruamel.yaml.comments import CommentedMap

    if isinstance(value, CommentedMap):
        value.fa.set_flow_style()
    comment = _comment(section, key)
    if comment is not None and comment.value.startswith("#"):
        comment.column += len(_value_text(value)) - len(_value_text(section[key]))
    section[key] = value


def _append(section: CommentedMap, key: str, value: Any) -> None:
    """Add a key at the end of a section, before the comment that leads to the next section.

    ruamel.yaml keeps that comment with the last key.
    """
    old, last = _last(section)
    section[key] = value
    comment = _comment(old, last)
    if comment is not None:
        own, end, following = comment.value.partition("\n")
        comment.value = own + end
        new, last = _last(section)
        new.ca.items[last] = [None, None, copy.copy(comment), None]
        _comment(new, last).value = f"\n{following}"


def _last(section: CommentedMap) -> tuple[CommentedMap, str]:
    """Return the innermost section whose last line is that of a section, and the key there."""
    from ruamel.yaml.comments import CommentedMap

    key = next(reversed(section))
    value = section[key]
    if isinstance(value, CommentedMap) and value and not value.fa.flow_style():
        return _last(value)
    return section, key


def _comment(section: CommentedMap, key: str) -> Any:
    """Return the comment behind a value, with the lines up to the next key, if there is any."""
    return section.ca.items.get(key, (None, None, None, None))[2]


def _value_text(value: Any) -> str:
    """Return a value as it stands behind its key."""
    from ruamel.yaml.comments import CommentedMap

    return _text(CommentedMap({"key": value})).partition(":")[2].strip()


def _text(content: CommentedMap) -> str:
    written = io.StringIO()
    _yaml().dump(content, written)
    return written.getvalue()


def _plain(text: str) -> dict[str, Any]:
    from ruamel.yaml import YAML

    content: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return content


def _yaml() -> YAML:
    """Return a reader and writer that keeps comments, and the layout as DVC writes it."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = _WIDTH
    return yaml
