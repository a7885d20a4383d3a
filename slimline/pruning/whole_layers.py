"""Layers that had to stay as wide as they were, with what kept them so, as a user is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class WholeLayer:
    """A layer that had to stay as wide as it was."""

    layer: str
    kept_by: str
    """The keeper's kind."""
    at: str
    """The keeper's place."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


def told(layers: Iterable[WholeLayer], *, most: int | None = None) -> str:
    """Return layers with what keeps them, those of a kind together, `most` names of each."""
    kinds: dict[str, list[WholeLayer]] = {}
    for each in layers:
        kinds.setdefault(each.kept_by, []).append(each)
    return "; ".join(
        f"{_some([each.layer for each in kept], most)} ({kind}{_places(kept)})"
        for kind, kept in kinds.items()
    )


def _some(names: Sequence[str], most: int | None) -> str:
    rest = len(names) - len(names[:most])
    return ", ".join(names[:most]) + (f" and {rest} more" if rest else "")


def _places(kept: Sequence[WholeLayer]) -> str:
    places = list(dict.fromkeys(each.at for each in kept if each.at))
    rest = len(places) - 1
    others = f" and {rest} other place{'s' if rest > 1 else ''}" if rest > 0 else ""
    return f" at {places[0]}{others}" if places else ""
