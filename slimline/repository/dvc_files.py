"""What DVC recorded of the pipeline's files, in `dvc.lock` and `*.dvc`, and whether it still holds.

DVC trusts files that it protected and does not hash them again: a flipped bit in its cache is
handed out as it is. Here everything is hashed anew.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from slimline import params
from slimline.errors import ParamsError

LOCK = "dvc.lock"
_FOLDER = ".dir"
"""How the hash of a folder ends: it is that of the list of its files."""

_IGNORED = {"__pycache__", ".DS_Store"}
"""As in .dvcignore: part of no folder that DVC hashes."""


@dataclass(frozen=True)
class Recorded:
    """The hash of a file or folder, as DVC wrote it down."""

    path: str
    """Relative to the root, with slashes."""
    md5: str
    source: str
    """Who says so: a stage of `dvc.lock`, or a `.dvc` file."""
    size: int | None = None
    """Bytes; None where an older version of DVC wrote it."""
    nfiles: int | None = None
    """Files of a folder."""

    @property
    def is_folder(self) -> bool:
        """Whether the hash is that of a list of files."""
        return self.md5.endswith(_FOLDER)


@dataclass(frozen=True)
class Lock:
    """The content of `dvc.lock`: what each stage ran with, and what came out."""

    stages: Mapping[str, Mapping[str, Any]]

    @property
    def outs(self) -> list[Recorded]:
        """All outputs."""
        return list(self._records("outs"))

    @property
    def deps(self) -> list[Recorded]:
        """All dependencies, code as well."""
        return list(self._records("deps"))

    def md5(self, path: str) -> str | None:
        """Return the hash of an output or dependency, None if no stage has it."""
        found = (each.md5 for each in (*self.outs, *self.deps) if each.path == path)
        return next(found, None)

    def of(self, kind: str, stage: str) -> list[Recorded]:
        """Return the `deps` or `outs` of one stage, none if it never ran."""
        told = f"{LOCK}, stage {stage}"
        content = self.stages.get(stage, {}).get(kind, [])
        return [_record(each, each["path"], told) for each in content if "md5" in each]

    def _records(self, kind: str) -> Iterator[Recorded]:
        for stage in self.stages:
            yield from self.of(kind, stage)


def inside(path: str, told: str) -> str:
    """Return a path that a DVC file names, if it is one within the repository.

    What a stranger proposes is judged beside files that are not theirs to read, and what differs is
    quoted in a comment that anyone reads.

    Raises:
        ParamsError: it leads out of the repository.
    """
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if ".." in parts or Path(path).is_absolute() or PureWindowsPath(path).drive:
        raise ParamsError(
            [f"{told}: {path} lies outside of the repository, where no figure can be checked"]
        )
    return path


def _record(entry: Mapping[str, Any], path: str, source: str) -> Recorded:
    path = inside(path, source)
    return Recorded(path, entry["md5"], source, entry.get("size"), entry.get("nfiles"))


def read_lock(root: Path) -> Lock:
    """Return the content of a folder's `dvc.lock`.

    Raises:
        ParamsError: it is missing or no YAML.
    """
    return Lock(params.read(root / LOCK).get("stages", {}))


def read_added(root: Path) -> list[Recorded]:
    """Return what `dvc add` tracks, from all `.dvc` files.

    Raises:
        ParamsError: one of them is no YAML.
    """
    folders = [each for each in root.iterdir() if each.is_dir() and not each.name.startswith(".")]
    files = [*root.glob("*.dvc"), *(file for each in folders for file in each.rglob("*.dvc"))]
    records = []
    for file in sorted(file for file in files if file.is_file()):
        place = PurePosixPath(file.relative_to(root).parent.as_posix())
        name = file.relative_to(root).as_posix()
        records += [
            _record(out, str(place / out["path"]), name)
            for out in params.read(file)["outs"]
            if "md5" in out
        ]
    return records


@dataclass
class Verification:
    """What was hashed, and what does not fit."""

    root: Path
    cache: Path
    """The folder of DVC's cache that holds objects by MD5."""
    num_files: int = 0
    """Files of the workspace that were hashed."""
    num_objects: int = 0
    """Objects of the cache that were hashed."""
    absent: list[str] = field(default_factory=list)
    """Paths that are not in the workspace: not fetched, or never made."""
    differing: dict[str, str] = field(default_factory=dict)
    """What is wrong with each file or object that is not what DVC recorded."""
    _hashed: dict[Path, str] = field(default_factory=dict)

    def check(self, record: Recorded) -> None:
        """Hash what a record tells of, in the workspace and in the cache."""
        path = self.root / record.path
        listing = self._check_objects(record)
        if not path.exists():
            if not within(record.path, self.absent):
                self.absent.append(record.path)
        elif record.is_folder and listing is not None:
            self._check_folder(path, listing, record)
        elif record.is_folder:
            self._check_whole_folder(path, record)
        else:
            self._check_file(path, record.md5, record.source)

    def check_object(self, md5: str, name: str) -> Path | None:
        """Hash an object of the cache, once; return it if it is there and right."""
        path = self.cache / md5[:2] / md5[2:]
        if not path.is_file():
            return None
        if path not in self._hashed:
            self.num_objects += 1
        if self._md5(path) == md5.removesuffix(_FOLDER):
            return path
        self._differs(str(path), f"is damaged; it is the cache's copy of {name}")
        return None

    def check_all_objects(self) -> None:
        """Hash every object of the cache, whichever commit it belongs to."""
        for path in sorted(self.cache.glob("??/*")):
            self.check_object(path.parent.name + path.name, "another commit's file")

    def _check_objects(self, record: Recorded) -> dict[str, str] | None:
        """Hash a record's objects; return the files of a folder, None if the list is not there."""
        path = self.check_object(record.md5, record.path)
        if path is None or not record.is_folder:
            return None
        listing = {each["relpath"]: each["md5"] for each in json.loads(path.read_bytes())}
        for name, md5 in listing.items():
            self.check_object(md5, f"{record.path}/{name}")
        return listing

    def _check_folder(self, path: Path, listing: Mapping[str, str], record: Recorded) -> None:
        for name, md5 in listing.items():
            if (path / name).is_file():
                self._check_file(path / name, md5, record.source)
            else:
                self._differs(f"{record.path}/{name}", f"is missing; {record.source} has it")
        for name in sorted(set(_names_under(path)) - set(listing)):
            self._differs(f"{record.path}/{name}", f"is unknown to {record.source}")

    def _check_whole_folder(self, path: Path, record: Recorded) -> None:
        """Without the list of its files only the folder as a whole can be judged."""
        hashes = {name: self._md5(path / name) for name in _names_under(path)}
        self.num_files += len(hashes)
        if hash_listing(hashes) != record.md5:
            self._differs(
                record.path,
                f"a file in this folder is not what {record.source} says; which one cannot be "
                f"told, as the cache has no list of them",
            )

    def _check_file(self, path: Path, md5: str, source: str) -> None:
        if path not in self._hashed:
            self.num_files += 1
        if self._md5(path) != md5:
            self._differs(path.relative_to(self.root).as_posix(), f"is not what {source} says")

    def _differs(self, name: str, told: str) -> None:
        self.differing.setdefault(name, told)

    def _md5(self, path: Path) -> str:
        if path not in self._hashed:
            self._hashed[path] = hash_file(path)
        return self._hashed[path]


def hash_file(path: Path) -> str:
    """Return the MD5 of a file, as DVC 3 takes it: of the bytes as they are."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def hash_listing(hashes: Mapping[str, str]) -> str:
    """Return the hash of a folder from those of its files, as DVC 3 takes it."""
    rows = [{"md5": hashes[name], "relpath": name} for name in sorted(hashes)]
    text = json.dumps(rows, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + _FOLDER


def hash_path(path: Path) -> str:
    """Return the hash of a file or folder, as DVC takes it; nothing where there is none."""
    if path.is_dir():
        return hash_listing({name: hash_file(path / name) for name in _names_under(path)})
    return hash_file(path) if path.is_file() else ""


def extent(path: Path) -> tuple[int, int]:
    """Return the number of files and of bytes of a file or folder, without what DVC ignores."""
    if path.is_file():
        return 1, path.stat().st_size
    sizes = [(path / name).stat().st_size for name in _names_under(path)]
    return len(sizes), sum(sizes)


def within(path: str, folders: Iterable[str]) -> bool:
    """Return whether a path is one of the folders, or lies in one."""
    own = PurePosixPath(path)
    return any(own.is_relative_to(folder) for folder in folders)


def _names_under(folder: Path) -> list[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [file.as_posix() for file in files if not _IGNORED & set(file.parts)]
