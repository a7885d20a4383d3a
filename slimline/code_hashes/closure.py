"""Which files a stage runs: what its script imports, at any depth; read, never run.

A `slimline.lazy_registry.Registry` counts by what is chosen: of its table the chosen lines, of a
module behind it what the chosen entry uses there. Files beside a module that are not Python
(templates, tables) belong to it.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from slimline.code_hashes import hashed_syntax

_REGISTRY, _PART = "Registry", "part"
_OWN = "own."
"""A user's own networks are chosen by `own.<module>:<function>`, without a line in a table."""

_WHOLE = None
"""Of a module, in place of the names that are used."""


@dataclass(frozen=True)
class Table:
    """A registry as it stands in the text of a module."""

    entries: Mapping[str, str]
    chosen_by: Sequence[str]
    always: Sequence[str]

    def chosen(self, stage: str, values: Mapping[str, Any]) -> list[str]:
        """Return the names that count for a stage.

        The keys stand in the order of the pipeline: the stage of a key's section is not touched by
        those after it; any other stage may meet what all of them chose. A word that is no name, as
        keep, chooses nothing.
        """
        sections = [key.partition(".")[0] for key in self.chosen_by]
        keys = self.chosen_by[: sections.index(stage) + 1] if stage in sections else self.chosen_by
        given = (values[key] for key in keys if key in values)
        names = [name for each in given for name in (each if isinstance(each, list) else [each])]
        known = [name for name in map(str, names) if self.place(name)]
        return list(dict.fromkeys([*self.always, *known]))

    def place(self, name: str) -> str:
        """Return `module` or `module:attribute` of a name; empty where there is no such name."""
        return self.entries.get(name, name if name.startswith(_OWN) else "")


@dataclass(frozen=True)
class Choice:
    """What a stage chooses of every registry."""

    stage: str
    values: Mapping[str, Any]
    """Of `params.yaml`, keys joined by dots."""

    def of(self, table: Table) -> list[str]:
        """Return the names that count."""
        return table.chosen(self.stage, self.values)


class Module:
    """One file of ours."""

    def __init__(self, root: Path, path: Path) -> None:
        text = (root / path).read_text(encoding="utf-8")
        self.statements = hashed_syntax.parse(text, path.parent.parts)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The registries that it declares, by name."""
        calls = {name: call for name, call in self._assigned if _called(call) == _REGISTRY}
        return {name: _table(call) for name, call in calls.items()}

    @cached_property
    def parts(self) -> dict[str, str]:
        """The registries of which it takes a part: dotted name of the table, name of the part."""
        found = {}
        origins = {
            name.rpartition(".")[2]: name for name in hashed_syntax.imported(self.statements)
        }
        for _, call in self._assigned:
            function = call.func
            if isinstance(function, ast.Attribute) and function.attr == _PART:
                assert isinstance(function.value, ast.Name)
                found[origins[function.value.id]] = ast.literal_eval(call.args[0])
        return found

    @cached_property
    def digest(self) -> str:
        """Of the whole file; of a table, all lines."""
        return hashed_syntax.digest(self.statements)

    @cached_property
    def imports(self) -> list[str]:
        """Of the whole file."""
        return list(hashed_syntax.imported(self.statements))

    def counted(self, names: set[str] | None, choice: Choice) -> list[ast.stmt]:
        """Return the statements that count: those of some names alone, tables without the rest."""
        kept = self.statements if names is _WHOLE else hashed_syntax.used(self.statements, names)
        return [_with_chosen(each, choice) for each in kept] if self.tables else kept

    @property
    def _assigned(self) -> Iterator[tuple[str, ast.Call]]:
        for statement in self.statements:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                targets = (
                    statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                )
                if isinstance(statement.value, ast.Call) and isinstance(targets[0], ast.Name):
                    yield targets[0].id, statement.value


@dataclass
class Code:
    """All files of a repository that stages may run."""

    root: Path
    _modules: dict[Path, Module] = field(default_factory=dict)
    _paths: dict[str, list[Path]] = field(default_factory=dict)

    def digests(self, script: Path, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the SHA-256 of what counts of each file that a script runs, by relative path.

        `values` are those of `params.yaml`, keys joined by dots.
        """
        choice = Choice(script.stem, values)
        found = _Walk(self, choice).run(script)
        hashes = {
            path.as_posix(): self._digest(path, names, choice) for path, names in found.items()
        }
        for path in self._beside(found):
            hashes[path.as_posix()] = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
        return dict(sorted(hashes.items()))

    def module(self, path: Path) -> Module:
        """Return a file, read once; `path` is relative to the root."""
        if path not in self._modules:
            self._modules[path] = Module(self.root, path)
        return self._modules[path]

    def paths(self, dotted: str) -> list[Path]:
        """Return the files of ours that importing a dotted name runs, outermost package first."""
        if dotted not in self._paths:
            outer, _, last = dotted.rpartition(".")
            stem = Path(*outer.split("."), last) if outer else Path(last)
            own = (stem / "__init__.py", stem.with_suffix(".py"))
            found = [path for path in own if (self.root / path).is_file()]
            self._paths[dotted] = [*(self.paths(outer) if outer else []), *found]
        return self._paths[dotted]

    def _digest(self, path: Path, names: set[str] | None, choice: Choice) -> str:
        module = self.module(path)
        if names is _WHOLE and not module.tables:
            return module.digest
        return hashed_syntax.digest(module.counted(names, choice))

    def _beside(self, modules: Mapping[Path, Any]) -> Iterator[Path]:
        """Yield what is not Python in the packages of modules, packages within them left out."""
        packages = {
            path.parent for path in modules if (self.root / path.parent / "__init__.py").is_file()
        }
        for package in packages:
            pending = [self.root / package]
            while pending:
                for path in pending.pop().iterdir():
                    if path.is_dir() and path.name != "__pycache__":
                        pending += [] if (path / "__init__.py").is_file() else [path]
                    elif path.is_file() and path.suffix not in {".py", ".pyc"}:
                        yield path.relative_to(self.root)


class _Walk:
    """Follows imports from one script."""

    def __init__(self, code: Code, choice: Choice) -> None:
        self._code, self._choice = code, choice
        self._found: dict[Path, set[str] | None] = {}
        self._pending: list[tuple[Path, str]] = []

    def run(self, script: Path) -> dict[Path, set[str] | None]:
        """Return each file with the names that count of it, or that it counts as a whole."""
        self._add(".".join(script.with_suffix("").parts))
        while self._pending:
            path, name = self._pending.pop()
            known = self._found.get(path, set())
            if known is _WHOLE or (name and name in known):
                continue
            self._found[path] = {*known, name} if name else _WHOLE
            self._follow(path)
        return self._found

    def _follow(self, path: Path) -> None:
        module, names = self._code.module(path), self._found[path]
        is_whole = names is _WHOLE
        imports: Iterable[str] = module.imports
        if not is_whole:
            imports = hashed_syntax.imported(module.counted(names, self._choice))
        for dotted in imports:
            self._add(dotted)
        for table in module.tables.values():
            for name in self._choice.of(table):
                self._add(table.place(name))
        for dotted, part in module.parts.items():
            *_, place = self._code.paths(dotted)
            table = self._code.module(place).tables[dotted.rpartition(".")[2]]
            for name in self._choice.of(table):
                self._add(f"{table.place(name)}.{part}")

    def _add(self, place: str) -> None:
        """Follow what importing a place runs; of `module:attribute`, what that attribute uses."""
        dotted, _, attribute = place.partition(":")
        if dotted.startswith(_OWN):
            attribute = ""  # decorators, subclasses and imports may register what is used by name
        paths = self._code.paths(dotted)
        self._pending += [(path, "") for path in paths[:-1]]
        self._pending += [(path, attribute) for path in paths[-1:]]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _table(call: ast.Call) -> Table:
    given = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    return Table(
        ast.literal_eval(call.args[0]), given.get("chosen_by", ()), given.get("always", ())
    )


def _with_chosen(statement: ast.stmt, choice: Choice) -> ast.stmt:
    """Return a statement; if it declares a registry, with the chosen lines of its table alone."""
    call = getattr(statement, "value", None)
    if not isinstance(call, ast.Call) or _called(call) != _REGISTRY:
        return statement
    table = _table(call)
    lines = [f"{name}={table.place(name)}" for name in sorted(choice.of(table))]
    return ast.Expr(ast.List([ast.Constant(line) for line in lines]))
