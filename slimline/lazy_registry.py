"""Names that `params.yaml` may choose, each with its module, imported when it is asked for.

What is not chosen is never imported. So `slimline.code_hashes` counts the chosen entries alone as
code of a stage: one more entry, or a change in another, runs nothing again.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """A literal table of lazy names, written where it is declared.

    `entries` gives each name its `module` or `module:attribute`. `chosen_by` are the keys of
    `params.yaml` whose values are names of the table, in the order of the pipeline; `always` are
    names that need not be chosen.
    `slimline.code_hashes` reads all three without running anything, so they must be literals.
    """

    def __init__(
        self,
        entries: Mapping[str, str],
        *,
        chosen_by: Sequence[str] = (),
        always: Sequence[str] = (),
        part: str = "",
    ) -> None:
        self._entries, self._part = entries, part
        self.chosen_by, self.always = chosen_by, always

    def __getitem__(self, name: str) -> T:
        """Return what a name stands for."""
        module, _, attribute = self._entries[name].partition(":")
        found: Any = import_module(module)
        if self._part and hasattr(found, "__path__"):
            found = import_module(f"{module}.{self._part}")
        chosen: T = getattr(found, attribute) if attribute else found
        return chosen

    def part(self, name: str) -> "Registry[Any]":
        """Return the same names for a module inside each entry's folder, as `runtime`.

        An entry that is a single file has all parts in it.
        """
        return Registry(self._entries, chosen_by=self.chosen_by, always=self.always, part=name)

    def __iter__(self) -> Iterator[str]:
        """Go through the names, importing nothing."""
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        """Return whether a name is known, importing nothing."""
        return name in self._entries
