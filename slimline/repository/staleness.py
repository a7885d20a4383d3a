"""Whether the results in the working tree are of what stands beside them.

`dvc.lock` has what each stage ran with: params, data, code, and what came out. A run that died half
way leaves figures of before beside params of after, and nothing in `metrics/` shows it. Here all of
it is compared, without DVC, without torch and without a model or an image, so that a shallow clone
can do it too.

Other values in sections `gates`, `search` and `progress`, and another comment in the code, make
nothing stale: no figure comes of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from slimline import code_hashes, params
from slimline.errors import SlimlineError
from slimline.repository import declared_stages, dvc_files
from slimline.repository.declared_stages import Out, Stage
from slimline.repository.dvc_files import LOCK, Lock, Recorded, inside, within

_CODE, _CODE_HASHES, _SCRIPTS = ("slimline", "stages", "own"), "metrics/code", "stages"
"""Our code is compared by its hashes, which a comment does not change (decision 18)."""

_IDLE_SECTIONS = ("gates", "search", "progress")
"""Of which no stage makes a figure."""
_MOST_LINES, _MOST_REASONS = 10, 3
_MOST_FILES, _MOST_BYTES = 20_000, 2**29
"""What of a folder of data is hashed in a second or two; larger ones go by number and size."""


class StaleError(SlimlineError):
    """Results are of other params, data or code than those that are here."""


@dataclass
class Staleness:
    """Stages whose results are not of what is here, and what could not be compared."""

    stages: dict[str, list[str]] = field(default_factory=dict)
    """What differs, by stage, in the order of `dvc.yaml`."""
    notes: list[str] = field(default_factory=list)


def check(root: Path, lock: Lock) -> list[str]:
    """Return what could not be compared of a folder whose results are up to date.

    Raises:
        StaleError: they are not; a line for each stage, with what differs.
    """
    found = find(root, lock)
    if not found.stages:
        return found.notes
    lines = [f"stage {name} is stale: {_told(reasons)}" for name, reasons in found.stages.items()]
    more = len(lines) - _MOST_LINES
    told = [*lines[:_MOST_LINES], *([f"and {more} more stages"] if more > 0 else [])]
    raise StaleError("\n".join([*told, "the figures are not of what is here; run `dvc repro`"]))


def find(root: Path, lock: Lock) -> Staleness:
    """Return the stages that `dvc repro` would have to run for other results, and why."""
    declared = declared_stages.read(root)
    comparison = _Comparison(root, lock, declared)
    found = Staleness(notes=comparison.notes)
    by_name = {stage.name: stage for stage in declared}
    for stage in declared:
        reasons = list(comparison.reasons(stage))
        if reasons:
            found.stages[stage.name] = [*_of_frozen(stage), *reasons]
    # What checks all params and hashes code makes no figure: others are named, where there are any.
    figures = {name for name in found.stages if not _is_check(by_name[name])}
    if figures:
        found.stages = {name: found.stages[name] for name in found.stages if name in figures}
    return found


def of_commit(root: Path, lock: Lock) -> list[str]:
    """Return how the figures of another commit differ from those of its params, by stage.

    Where somebody merged params without a run, its figures are of the params before. Only params,
    metrics and `dvc.lock` of it are in the folder: its code and its data are not compared.
    """
    comparison = _Comparison(root, lock, [])
    lines = []
    for name, ran in lock.stages.items():
        if not lock.of("outs", name) or any(
            within(each.path, _CODE) for each in lock.of("deps", name)
        ):
            continue  # what checks all params and hashes code makes no figure
        files = {inside(file, LOCK): given for file, given in ran.get("params", {}).items()}
        keys = [(file, key) for file in files for key in files[file] if (root / file).is_file()]
        reasons = [*comparison.params(keys, ran), *comparison.written(name)]
        if reasons:
            lines.append(f"stage {name}: {_told(reasons)}")
    return lines


def _told(reasons: Sequence[str]) -> str:
    more = len(reasons) - _MOST_REASONS
    return "; ".join([*reasons[:_MOST_REASONS], *([f"and {more} more"] if more > 0 else [])])


def _of_frozen(stage: Stage) -> list[str]:
    return ["it is frozen: `dvc unfreeze` lets it run"] if stage.is_frozen else []


def _is_check(stage: Stage) -> bool:
    is_of_all = any(key is None for _, key in stage.params)
    return is_of_all or any(within(path, _CODE) for path in stage.deps)


class _Comparison:
    """One `dvc.lock` against the working tree; what several stages ask for is looked up once."""

    def __init__(self, root: Path, lock: Lock, declared: list[Stage]) -> None:
        self.root = root
        self.lock = lock
        self.notes: list[str] = []
        self._outs = {out.path: (stage, out) for stage in declared for out in stage.outs}
        self._files: dict[str, Mapping[str, Any]] = {}
        self._differences: dict[Recorded, str | None] = {}
        self._hashed: dict[str, str] = {}

    def reasons(self, stage: Stage) -> Iterator[str]:
        """Yield what differs for a stage."""
        ran = self.lock.stages.get(stage.name)
        if ran is None:
            yield f"{LOCK} has no run of it"
            return
        if ran.get("cmd", stage.cmd) != stage.cmd:
            yield f"its command in {declared_stages.PIPELINE} is another"
        yield from self.params(stage.params, ran)
        yield from self._code(stage)
        recorded = {record.path: record for record in self.lock.of("deps", stage.name)}
        for path in stage.deps:
            if not within(path, _CODE):
                yield from self._dep(path, recorded.get(path))
        yield from (f"{path} is no longer among its deps" for path in set(recorded) - {*stage.deps})
        made = {record.path: record for record in self.lock.of("outs", stage.name)}
        for out in stage.outs:
            yield from self._out(out, made.get(out.path))

    def params(
        self, keys: Iterable[tuple[str, str | None]], ran: Mapping[str, Any]
    ) -> Iterator[str]:
        """Yield which of the keys, each of a file, have other values than a stage ran with."""
        for file, key in keys:
            before = ran.get("params", {}).get(file, {})
            now = self._content(file)
            if key is not None:
                before, now = _picked(before, key, is_dotted=False), _picked(now, key)
            before, now = params.flat(before), params.flat(now)
            for name in dict.fromkeys([*now, *before]):
                is_idle = name.partition(".")[0] in _IDLE_SECTIONS
                if not is_idle and now.get(name) != before.get(name):
                    ran_with = f"with {before[name]!r}" if name in before else "without"
                    given = repr(now[name]) if name in now else "not there"
                    yield f"{file}: {name} is {given}, it ran {ran_with}"

    def written(self, stage: str) -> Iterator[str]:
        """Yield what a stage wrote and is here, but another."""
        for made in self.lock.of("outs", stage):
            if (self.root / made.path).exists() and self._md5(made.path) != made.md5:
                yield f"{made.path} is not the one that it wrote"

    def _content(self, file: str) -> Mapping[str, Any]:
        if file not in self._files:
            self._files[file] = params.read(self.root / file)
        return self._files[file]

    @cached_property
    def _current_code(self) -> Mapping[str, str]:
        scripts = self.root / _SCRIPTS
        return code_hashes.texts(scripts, self.root / params.PARAMS_PATH)

    def _code(self, stage: Stage) -> Iterator[str]:
        for path in stage.deps:
            if not within(path, [_CODE_HASHES]):
                continue
            name, hashed = PurePosixPath(path).stem, self.root / path
            before = hashed.read_text(encoding="utf-8") if hashed.is_file() else ""
            now = self._current_code.get(name, "")
            changed = set(before.splitlines()) ^ set(now.splitlines())
            names = sorted({line.split(maxsplit=1)[1] for line in changed})
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                yield f"its code changed: {', '.join(names[:3])}{more}"

    def _dep(self, path: str, recorded: Recorded | None) -> Iterator[str]:
        if recorded is None:
            yield f"it ran without {path}"
            return
        if recorded not in self._differences:
            self._differences[recorded] = self._difference(recorded)
        difference = self._differences[recorded]
        if difference is not None:
            yield f"{path} {difference}"

    def _difference(self, recorded: Recorded) -> str | None:
        """Return how what a stage read differs from what is here, None where it does not."""
        made_by = self._maker(recorded.path)
        if made_by is None:
            return self._data_difference(recorded)
        stage, out = made_by
        another = f"is not what stage {stage.name} made last"
        if not out.is_cached:
            return None if self._md5(recorded.path) == recorded.md5 else another
        outs = self.lock.of("outs", stage.name)
        made = next((each for each in outs if each.path == out.path), None)
        if made is None:
            return f"is of stage {stage.name}, of which {LOCK} has no run"
        if out.path == recorded.path:
            return None if made.md5 == recorded.md5 else another
        # One file of a folder in DVC's cache: only the folder itself, if it is here, can tell.
        is_here = (self.root / out.path).is_dir() and self._md5(out.path) == made.md5
        return another if is_here and self._md5(recorded.path) != recorded.md5 else None

    def _maker(self, path: str) -> tuple[Stage, Out] | None:
        """Return what makes a file or folder; of a folder with files of several stages, one."""
        for made in self._outs:
            if within(path, [made]) or within(made, [path]):
                return self._outs[made]
        return None

    def _out(self, out: Out, made: Recorded | None) -> Iterator[str]:
        if made is None:
            yield f"{LOCK} has no hash of {out.path}"
        elif not out.is_cached:
            here = self._md5(out.path)
            if here != made.md5:
                told = "is missing" if not here else "is not the one that it wrote"
                yield f"{out.path} {told}"

    def _md5(self, path: str) -> str:
        """Return the hash of a file or folder as DVC takes it, nothing where there is none."""
        if path not in self._hashed:
            self._hashed[path] = dvc_files.hash_path(self.root / path)
        return self._hashed[path]

    def _data_difference(self, recorded: Recorded) -> str | None:
        """Compare data that no stage makes, by hash; as far as it is here, or not too large."""
        path, other = self.root / recorded.path, "is another than the one it ran with"
        absent = [each for each in self._added if not (self.root / each.path).exists()]
        for each in absent:
            if each.path == recorded.path:
                return None if each.md5 == recorded.md5 else other
        missing = [each for each in absent if within(each.path, [recorded.path])]
        if not path.exists() and not missing:
            return "is missing"
        num_files, size = dvc_files.extent(path)
        is_small = num_files <= _MOST_FILES and size <= _MOST_BYTES
        if not missing and is_small:
            return None if self._md5(recorded.path) == recorded.md5 else other
        if any(each.size is None or recorded.size is None for each in missing):
            self.notes.append(f"{recorded.path}: not compared, as parts of it are not here")
            return None
        num_files += sum(each.nfiles or 1 for each in missing)
        size += sum(each.size or 0 for each in missing)
        if (num_files, size) != (recorded.nfiles or 1, recorded.size):
            return (
                f"has {num_files:,} files of {size:,} bytes, it ran with "
                f"{recorded.nfiles or 1:,} of {recorded.size:,}"
            )
        why = "parts of it are not here" if missing else "it is large"
        self.notes.append(f"{recorded.path}: compared by number and size of files, as {why}")
        return None

    @cached_property
    def _added(self) -> list[Recorded]:
        return dvc_files.read_added(self.root)


def _picked(content: Mapping[str, Any], key: str, *, is_dotted: bool = True) -> dict[str, Any]:
    """Return one key of params with what is under it; `dvc.lock` has dotted keys as they are."""
    value: Any = content
    for part in key.split(".") if is_dotted else [key]:
        if not isinstance(value, Mapping) or part not in value:
            return {}
        value = value[part]
    return {key: value}
