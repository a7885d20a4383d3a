"""What of a Python file can change a result: its syntax tree, without what only people read.

Comments and layout are in no tree. Docstrings and other lone strings, and what stands under
`if TYPE_CHECKING`, are taken out: no stage may let one of them reach what it writes
(tests/code_hashes/test_closure.py looks for it).
"""

import ast
import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

_OF_NO_EFFECT = {"ctx", "kind", "type_comment", "type_ignores"}
"""Fields of nodes that follow from the others, or are for type checkers."""


def parse(text: str, package: Sequence[str] = ()) -> list[ast.stmt]:
    """Return the statements of a module that count; `package` is where it lies, outermost first.

    Imports that go by the module's place, as `from . import x`, are spelled out.
    """
    tree = _Stripper(package).visit(ast.parse(text))
    assert isinstance(tree, ast.Module)
    return tree.body


def digest(statements: Sequence[ast.stmt]) -> str:
    """Return a SHA-256 that is the same on every Python that reads the file.

    `ast.dump` is not: Python 3.13 leaves out empty fields, and new versions add fields.
    """
    return hashlib.sha256("\n".join(_dumped(each) for each in statements).encode()).hexdigest()


def used(statements: Sequence[ast.stmt], names: Collection[str]) -> list[ast.stmt]:
    """Return the statements of a module that some of its names need, in order.

    Statements that bind no name are there for their effect, and always count.
    """
    binds = {id(each): _bound(each) for each in statements}
    wanted, kept = set(names), {id(each) for each in statements if not binds[id(each)]}
    pending = [each for each in statements if id(each) in kept]
    while True:
        for each in pending:
            wanted |= {node.id for node in ast.walk(each) if isinstance(node, ast.Name)}
        pending = [each for each in statements if id(each) not in kept and wanted & binds[id(each)]]
        if not pending:
            return [each for each in statements if id(each) in kept]
        kept |= {id(each) for each in pending}


def imported(statements: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the dotted names of all that is imported, inside functions as well.

    What is imported from a module may be a module itself: `from a import b` yields `a.b`.
    """
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _Stripper(ast.NodeTransformer):
    """Takes out what never runs, and gives each imported name a statement of its own."""

    def __init__(self, package: Sequence[str]) -> None:
        self._package = package

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node

    def visit_Import(self, node: ast.Import) -> list[ast.Import]:
        return [ast.Import([alias]) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.ImportFrom]:
        # One dot is the package itself; more than there are packages would not run.
        above = self._package[: len(self._package) - node.level + 1] if node.level else ()
        module = ".".join([*above, *filter(None, [node.module])])
        return [ast.ImportFrom(module, [alias], 0) for alias in node.names]

    def visit_If(self, node: ast.If) -> Any:
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        self.generic_visit(node)
        return node.orelse if is_for_types else node


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names = {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
        # All names of a module: which they are is not known here.
        return names - {"*"}
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        nodes = [node for target in targets for node in ast.walk(target)]
        return {node.id for node in nodes if isinstance(node, ast.Name)}
    return set()


def _dumped(value: Any) -> str:
    if isinstance(value, ast.AST):
        fields = (
            f"{name}={_dumped(field)}"
            for name, field in ast.iter_fields(value)
            if name not in _OF_NO_EFFECT and field is not None and field != []
        )
        return f"{type(value).__name__}({', '.join(fields)})"
    if isinstance(value, list):
        return f"[{', '.join(map(_dumped, value))}]"
    # ascii, since which signs are printable is another matter in every version of Unicode.
    return f"{type(value).__name__} {value!a}"
