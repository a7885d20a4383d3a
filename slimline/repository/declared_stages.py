"""The stages that `dvc.yaml` declares, read without DVC: what each runs, needs and makes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline import params
from slimline.errors import ParamsError
from slimline.repository import dvc_files
from slimline.repository.dvc_files import Lock, inside

PIPELINE = Path("dvc.yaml")
_TEMPLATE = re.compile(r"\$\{([^}]+)\}")
_OUTS = ("outs", "metrics", "plots")


@dataclass(frozen=True)
class Out:
    """A file or folder that a stage makes."""

    path: str
    is_cached: bool
    """Whether DVC keeps it, so that a clone may lack it; else git does."""


@dataclass(frozen=True)
class Stage:
    """One stage, with every template filled in."""

    name: str
    """As `dvc.lock` has it, `evaluate@prune` where a block stands for several."""
    cmd: str
    deps: Sequence[str]
    params: Sequence[tuple[str, str | None]]
    """File and key of each; no key: the whole file."""
    outs: Sequence[Out]
    is_frozen: bool
    """Whether the user asked DVC never to run it again."""


def read(root: Path) -> list[Stage]:
    """Return the stages of a folder's `dvc.yaml`.

    Raises:
        ParamsError: the file is missing, is no YAML, uses `matrix`, which is not read here, or
            names a file outside of the repository.
    """
    content = params.read(root / PIPELINE)
    # As in DVC, params are there for templates too.
    defaults = root / params.PARAMS_PATH
    context: dict[str, Any] = params.read(defaults) if defaults.is_file() else {}
    for each in content.get("vars", []):
        is_file = isinstance(each, str)
        context |= params.read(root / inside(each, f"{PIPELINE}: vars")) if is_file else each
    stages = content.get("stages") or {}
    return [stage for name, block in stages.items() for stage in _expanded(name, block, context)]


def read_lock(root: Path) -> Lock:
    """Return the content of a folder's `dvc.lock`, without stages that its `dvc.yaml` has no more.

    DVC leaves these there, with hashes of files that other stages make by now. Without a `dvc.yaml`
    there is nothing to go by, and all count.

    Raises:
        ParamsError: `dvc.lock` is missing, or `dvc.yaml` cannot be read; see `read`.
    """
    ran = dvc_files.read_lock(root).stages
    if not (root / PIPELINE).is_file():
        return Lock(ran)
    names = {stage.name for stage in read(root)}
    return Lock({name: ran[name] for name in ran if name in names})


def _expanded(name: str, block: Mapping[str, Any], context: Mapping[str, Any]) -> Iterator[Stage]:
    if "matrix" in block:
        raise ParamsError([f"{PIPELINE}: stages.{name}: matrix is not understood; use foreach"])
    if "foreach" not in block:
        yield _stage(name, _filled(block, context))
        return
    items = _filled(block["foreach"], context)
    pairs = items.items() if isinstance(items, Mapping) else ((str(each), each) for each in items)
    for key, item in pairs:
        filled = _filled(block["do"], {**context, "key": key, "item": item})
        yield _stage(f"{name}@{key}", filled)


def _filled(value: Any, context: Mapping[str, Any]) -> Any:
    """Return a value with its `${...}` replaced; one that is nothing else keeps its type."""
    if isinstance(value, str):
        if whole := _TEMPLATE.fullmatch(value):
            return _look_up(whole[1], context)
        return _TEMPLATE.sub(lambda found: str(_look_up(found[1], context)), value)
    if isinstance(value, Mapping):
        return {_filled(key, context): _filled(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, context) for item in value]
    return value


def _look_up(dotted: str, context: Mapping[str, Any]) -> Any:
    found: Any = context
    for key in dotted.strip().split("."):
        if not isinstance(found, Mapping) or key not in found:
            raise ParamsError([f"{PIPELINE}: ${{{dotted}}}: stands for nothing that is declared"])
        found = found[key]
    return found


def _stage(name: str, block: Mapping[str, Any]) -> Stage:
    told = f"{PIPELINE}: stages.{name}"
    outs = [_out(each) for kind in _OUTS for each in block.get(kind, [])]
    for out in outs:
        inside(out.path, told)
    pairs = [pair for each in block.get("params", []) for pair in _params(each)]
    return Stage(
        name,
        block.get("cmd", ""),
        [inside(each, told) for each in block.get("deps", [])],
        [(inside(file, told), key) for file, key in pairs],
        outs,
        is_frozen=bool(block.get("frozen", False)),
    )


def _out(declared: Any) -> Out:
    if isinstance(declared, str):
        return Out(declared, is_cached=True)
    ((path, options),) = declared.items()
    return Out(path, is_cached=(options or {}).get("cache", True))


def _params(declared: Any) -> Iterator[tuple[str, str | None]]:
    if isinstance(declared, str):
        yield str(params.PARAMS_PATH), declared
        return
    for file, keys in declared.items():
        yield from ((file, key) for key in keys or [None])
