"""What a stage sees of `params.yaml`: its own keys, and those of all stages before it.

Read from `dvc.yaml`. A stage that loads the model of another builds the network that the other's
params chose.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slimline import params

_TEMPLATE = re.compile(r"\\\$\\\{[^}]*\\\}")


class Pipeline:
    """The stages of a `dvc.yaml`; those of a `foreach` are one."""

    def __init__(self, path: Path, hashing: str) -> None:
        """Read the file; `hashing` is the stage that hashes code, whose params are nobody's."""
        self._hashing = hashing
        stages = params.read(path)["stages"]
        self._blocks: dict[str, Any] = {
            name: block.get("do", block) for name, block in stages.items()
        }

    def reading(self, folder: Path) -> list[str]:
        """Return the stages that depend on a file of theirs in a folder of code hashes."""
        return [
            name for name in self._blocks if f"{folder.as_posix()}/{name}.txt" in self._deps(name)
        ]

    def sees(self, stage: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a stage sees of a `params.yaml`, keys joined by dots."""
        sections = {key for name in self._with_ancestors(stage) for key in self.params(name)}
        return {
            key: value
            for key, value in params.flat(content).items()
            if any(key == each or key.startswith(f"{each}.") for each in sections)
        }

    def params(self, stage: str) -> list[str]:
        """Return the keys of `params.yaml` that a stage lists, sections or single ones."""
        return [each for each in self._blocks[stage].get("params", []) if isinstance(each, str)]

    def _with_ancestors(self, stage: str) -> set[str]:
        found: set[str] = set()
        pending = [stage]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self._parents(name)
        return found

    def _parents(self, stage: str) -> Iterator[str]:
        for name in self._blocks:
            if name != self._hashing and any(
                _overlap(dep, out) for dep in self._deps(stage) for out in self._outs(name)
            ):
                yield name

    def _deps(self, stage: str) -> list[str]:
        return list(self._blocks[stage].get("deps", []))

    def _outs(self, stage: str) -> Iterator[str]:
        block = self._blocks[stage]
        for out in [*block.get("outs", []), *block.get("metrics", [])]:
            yield next(iter(out)) if isinstance(out, dict) else out


def _overlap(one: str, other: str) -> bool:
    """Return whether two paths may be the same or one in the other; `${...}` may be any name."""
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return all(_fits(a, b) or _fits(b, a) for a, b in pairs)


def _fits(name: str, pattern: str) -> bool:
    return re.fullmatch(_TEMPLATE.sub(".+", re.escape(pattern)), name) is not None
