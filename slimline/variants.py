"""Which deployable models there are, declared once, in `variants.yaml`: name, role, parent."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from slimline import params
from slimline.errors import ParamsError

PATH = Path("variants.yaml")

Role: TypeAlias = Literal["baseline", "chain", "product", "comparator"]
_ROLES: tuple[Role, ...] = get_args(Role)
_KEY = "variants"
_NAME = re.compile(r"\w[\w-]*")


@dataclass(frozen=True)
class Declared:
    """A deployable model, before anything is known of it but what it is for."""

    name: str
    """Of the stage that makes it, of its folder under `models`, and of its metric files."""
    role: Role
    parent: str
    """Name of the variant that it was made from; empty for the baseline."""


class Variants:
    """All of them, in the order of the file: that of tables, drawings and turns."""

    def __init__(self, declared: Mapping[str, Declared]) -> None:
        self._declared = dict(declared)

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._declared)

    def __getitem__(self, name: str) -> Declared:
        """Return what is declared of a name."""
        return self._declared[name]

    @property
    def baseline(self) -> str:
        """What all else is compared with."""
        return next(name for name in self if self[name].role == "baseline")

    @property
    def product(self) -> str:
        """What is shipped."""
        return next(name for name in self if self[name].role == "product")

    @property
    def chain(self) -> list[str]:
        """From the baseline to the product, each made from the one before it."""
        names = [self.product]
        while self[names[0]].parent:
            names.insert(0, self[names[0]].parent)
        return names


def read(path: Path = PATH) -> Variants:
    """Return what a file declares.

    Raises:
        ParamsError: the file is missing, or declares something that cannot be.
    """
    found = params.read(path).get(_KEY)
    if not isinstance(found, dict) or not found:
        raise ParamsError([f"{path}: {_KEY}: must be a mapping of names to role and parent"])
    variants = Variants({name: _declared(path, name, each) for name, each in found.items()})
    roles = [variants[name].role for name in variants]
    mistakes = [
        f"{path}: {_KEY}: needs exactly one {role}, has {roles.count(role)}"
        for role in ("baseline", "product")
        if roles.count(role) != 1
    ]
    names = list(variants)
    mistakes += [
        f"{path}: {_KEY}.{name}.parent: must be a variant declared before it (given {parent!r})"
        for position, name in enumerate(names)
        if (parent := variants[name].parent) not in names[:position]
        and variants[name].role != "baseline"
    ]
    if mistakes:
        raise ParamsError(mistakes)
    return variants


def _declared(path: Path, name: str, given: Any) -> Declared:
    if not _NAME.fullmatch(str(name)):
        raise ParamsError(
            [
                f"{path}: {_KEY}: {name!r} names files of metrics and models, and may have "
                "letters, digits, - and _ alone"
            ]
        )
    known = given if isinstance(given, dict) else {}
    role = known.get("role")
    if role not in _ROLES or not set(known) <= {"role", "parent"}:
        raise ParamsError(
            [
                f"{path}: {_KEY}.{name}: needs a role of {', '.join(_ROLES)}, and a parent unless "
                f"it is the baseline (given {given!r})"
            ]
        )
    return Declared(name, role, str(known.get("parent", "")))
