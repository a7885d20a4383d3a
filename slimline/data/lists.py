"""Raw sets of image files with a list beside them, which says the class of each.

`labels.csv` has columns `file` and `label`, and if wanted `split` and `group`; `metadata.csv`, as
Hugging Face lays it out, has `file_name` and `label`, in the set or in each of its parts. What the
files hold is judged in `slimline.data.user_files`.
"""

import csv
import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slimline.data import image_search, part_names, user_files
from slimline.data.file_check import Bad, UserFile
from slimline.data.part_names import TRAIN
from slimline.data.raw_set import RawSet
from slimline.errors import DataError

_LABELS, _METADATA = "labels.csv", "metadata.csv"
_COLUMNS = ("file", "label", "split", "group")
_LIST_SUFFIXES = {".csv", ".tsv", ".jsonl", ".xls", ".xlsx", ".ods"}
_LIST_NAMES = {"label", "labels", "metadata"}
"""Of what is taken for a list of photos when it lies beside them."""


@dataclass(frozen=True)
class _List:
    """A list that a user wrote."""

    path: Path
    part: str
    """Of its files, unless a column says it."""
    columns: Mapping[str, int]
    """Where each of `_COLUMNS` is; those that it may lack are left out."""
    delimiter: str


@dataclass(frozen=True)
class _Row:
    """A line of a list."""

    where: str
    """The list and the line, for messages."""
    part: str
    label: str
    group: str


def find(folder: Path) -> list[Path]:
    """Return the lists of a set; without any, its folders are its classes."""
    below = sorted(path for path in folder.iterdir() if not image_search.is_system(path))
    own = [path for path in below if _is_file(path) and path.name.lower() == _LABELS]
    if own:
        return own
    candidates = [each / _METADATA for each in (folder, *_parts(folder))]
    return [path for path in candidates if _is_file(path) and _is_metadata(path)]


def refuse_unread(folder: Path) -> None:
    """Refuse a list in a set whose folders are its classes, since its author meant it to be read.

    Where folders say what the parts are, other tables than those that are called like a list may
    lie beside them, as many public sets have one.

    Raises:
        DataError: something in the set, or in one of its parts, looks like a list.
    """
    parts = _parts(folder)
    for within in (folder, *parts):
        for path in sorted(within.iterdir()):
            is_table = path.suffix.lower() in _LIST_SUFFIXES
            is_list = _is_called_list(path) or (is_table and not parts)
            if is_list and not image_search.is_system(path):
                raise DataError(f"{user_files.printable(path)}: {_why_unread(folder, path)}")


def _parts(folder: Path) -> list[Path]:
    """Return the folders of a set that are called like parts."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and part_names.part_of(path.name) and not image_search.is_system(path)
    ]


def _is_file(path: Path) -> bool:
    """Return whether there is a file, or a link to nothing, which is told of when it is read."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _is_called_list(path: Path) -> bool:
    name = Path(path.name.lower())
    return _LABELS in name.name or (name.suffix in _LIST_SUFFIXES and name.stem in _LIST_NAMES)


def _why_unread(folder: Path, path: Path) -> str:
    """Return what to do about a list that is not read."""
    if path.is_dir():
        return "is a folder, called like a list of the photos: rename it, or move it out of the set"
    unread = "looks like a list of the photos and is not read"
    if path.name == _METADATA:
        return (
            f"{unread}, as its first line does not name the columns file_name and label: name "
            "them, or move it out of the set"
        )
    if path.parent != folder:
        return (
            f"{unread}: write one list of all parts, {user_files.printable(folder / _LABELS)}, "
            "with columns file, label and split, or move it out of the set"
        )
    return f"{unread}: save it as {_LABELS}, with columns file and label, or move it out of the set"


def _is_metadata(path: Path) -> bool:
    """Return whether a list names classes, and not captions alone."""
    header, _ = _header(path)
    return {"file_name", "label"} <= set(header)


def read(
    folder: Path,
    lists: Sequence[Path],
    *,
    size: int,
    crop: float,
    skip_bad: bool,
    looks: bool = False,
) -> RawSet:
    """Return the set of a folder with lists, every file decoded once, as `user_files.read` does.

    Raises:
        DataError: a list is malformed or holds a file twice, no class or only one is listed, one
            group is in two parts, or there are files without a line, lines without a file or bad
            files, and these shall not be skipped.
    """
    rows = _rows(folder, lists)
    _check_groups(rows.values())
    files, bad = _match(folder, rows, lists)
    labels = sorted({row.label for row in rows.values() if row.part == TRAIN})
    _check_labels(folder, labels, rows.values())
    user_files.report_system_files(folder)
    return user_files.read(
        folder,
        files,
        labels,
        bad=bad,
        size=size,
        crop=crop,
        skip_bad=skip_bad,
        looks=looks,
        without_files="none of its listed files is there",
    )


def _rows(folder: Path, lists: Sequence[Path]) -> dict[str, _Row]:
    """Return all lines, by the path of their file within the set."""
    rows: dict[str, _Row] = {}
    for path in lists:
        opened = _open(folder, path)
        within = path.parent.relative_to(folder).as_posix()
        for file, row in _lines(opened):
            name = posixpath.normpath(posixpath.join(within, file))
            if name.startswith(("../", "/")):
                raise DataError(
                    f"{row.where}: {file!r} lies outside of the set: put it into {folder}"
                )
            if name in rows:
                raise DataError(
                    f"{row.where}: {file!r} is listed again, after {rows[name].where}: keep one"
                )
            rows[name] = row
        if path.parent == folder and "split" not in opened.columns:
            _refuse_folders_of_parts(path, rows)
    return rows


def _refuse_folders_of_parts(path: Path, files: Iterable[str]) -> None:
    """Refuse a list that says nothing of parts that its files lie in, and that would be mixed.

    Raises:
        DataError: folders of the files are named after two or more parts.
    """
    if folders := part_names.among({PurePosixPath(file).parent for file in files}):
        raise DataError(
            f"{path}: has no column split, but its files lie in folders {' and '.join(folders)}: "
            "add the column, or rename the folders if they are no parts"
        )


def _open(folder: Path, path: Path) -> _List:
    """Return what the header of a list says.

    Raises:
        DataError: a column is unknown, missing or there twice.
    """
    header, delimiter = _header(path)
    part = part_names.part_of(path.parent.name) if path.parent != folder else None
    if path.name.lower() == _METADATA:
        unused = [repr(name) for name in header if name not in {"file_name", *_COLUMNS[1:]}]
        if unused:
            print(f"{path}: columns that are not used: {user_files.some(unused)}")
        names = ["file" if name == "file_name" else name for name in header]
    else:
        names = header
        _check_columns(path, names)
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(f"{path}: has two columns {repeated[0]!r}: keep one")
    columns = {name: names.index(name) for name in _COLUMNS if name in names}
    return _List(path, part or TRAIN, columns, delimiter)


def _check_columns(path: Path, names: Sequence[str]) -> None:
    unknown = [repr(name) for name in names if name not in _COLUMNS]
    missing = [repr(name) for name in _COLUMNS[:2] if name not in names]
    if unknown or missing:
        found = (
            f"unknown column {user_files.some(unknown)}" if unknown else f"no column {missing[0]}"
        )
        raise DataError(
            f"{path}: {found}: its first line must name the columns file and label, and may name "
            "split and group; nothing else"
        )


def _header(path: Path) -> tuple[list[str], str]:
    """Return the names of the columns, and what parts them: commas, or what spreadsheets write."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except OSError as error:
        is_lost = path.is_symlink() and not path.exists()
        why = "is a link to nothing" if is_lost else f"cannot be read: {error.strerror}"
        raise DataError(f"{path}: {why}: put the list itself in its place") from None
    delimiter = next((each for each in ",;\t" if each in first), ",")
    try:
        names = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"{path}: line 1: is no CSV: {error}") from None
    return [name.strip().lower() for name in names], delimiter


def _not_utf8(path: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(f"{path}: is not UTF-8 ({error.reason}): save it as UTF-8")


def _lines(opened: _List) -> Iterator[tuple[str, _Row]]:
    """Return each file with the rest of its line.

    Raises:
        DataError: the text is not UTF-8 or no CSV, or a line lacks something.
    """
    try:
        with opened.path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=opened.delimiter, strict=True)
            width = len(next(lines, []))
            for cells in lines:
                if any(cell.strip() for cell in cells):
                    yield _row(opened, f"{opened.path}: line {lines.line_num}", cells, width)
    except UnicodeDecodeError as error:
        raise _not_utf8(opened.path, error) from None
    except csv.Error as error:
        raise DataError(f"{opened.path}: line {lines.line_num}: is no CSV: {error}") from None


def _row(opened: _List, where: str, cells: Sequence[str], width: int) -> tuple[str, _Row]:
    if len(cells) != width:
        raise DataError(
            f"{where}: has {len(cells)} fields, the first line has {width}: put a name that holds "
            f"{opened.delimiter!r} in double quotes"
        )
    given = {name: cells[place].strip() for name, place in opened.columns.items()}
    empty = [name for name in _COLUMNS[:2] if not given[name]]
    if empty:
        raise DataError(f"{where}: {empty[0]} is empty")
    part = opened.part
    if "split" in given:
        named = part_names.part_of(given["split"])
        if named is None:
            raise DataError(
                f"{where}: split is {given['split']!r}, and must be {part_names.ALLOWED}"
            )
        part = named
    label = unicodedata.normalize("NFC", given["label"])
    return given["file"].replace("\\", "/"), _Row(where, part, label, given.get("group", ""))


def _check_groups(rows: Iterable[_Row]) -> None:
    """Refuse a group in two parts: what is judged would have been trained on.

    Raises:
        DataError: there is one.
    """
    seen: dict[str, _Row] = {}
    alone = 0
    for row in rows:
        alone += not row.group
        first = seen.setdefault(row.group, row)
        if row.group and first.part != row.part:
            raise DataError(
                f"{row.where}: group {row.group!r} is in {row.part}, and in {first.part} by "
                f"{first.where}: put all of it into one"
            )
    if alone and len(seen) > 1:
        print(f"{alone} images have no group, and stand each alone")


def _match(
    folder: Path, rows: Mapping[str, _Row], lists: Sequence[Path]
) -> tuple[list[UserFile], list[Bad]]:
    """Return the listed files, and what is listed but not there or there but not listed."""
    there = {
        path.relative_to(folder).as_posix(): path
        for path in user_files.files_under(folder)
        if path not in lists
    }
    composed = {unicodedata.normalize("NFC", name): name for name in there}
    files, bad = [], []
    for listed, row in sorted(rows.items()):
        name = listed if listed in there else composed.get(unicodedata.normalize("NFC", listed))
        shown = user_files.printable(Path(listed))
        path = there.pop(name, None) if name else None
        if path is None:
            why = _why_missing(folder / listed, Path(listed), lists)
            bad.append(Bad(shown, f"{why}, though {row.where} names it"))
        else:
            files.append(UserFile(path, row.part, row.label, shown, row.group))
    return files, [*bad, *_unlisted(there, lists)]


def _why_missing(path: Path, within: Path, lists: Sequence[Path]) -> str:
    """Return why a file of a set that is listed is not among those that are used."""
    if not os.path.lexists(path):
        return "is not beside the list"
    if path.is_dir():
        return "is a folder"
    if any(image_search.is_system(Path(name)) for name in within.parts):
        return "is hidden, or a system's, and never used"
    return "is a list itself" if path in lists else "is not beside the list"


def _unlisted(there: Mapping[str, Path], lists: Sequence[Path]) -> Iterator[Bad]:
    others = []
    for name, path in there.items():
        if user_files.looks_like_photo(path):
            yield Bad(user_files.printable(Path(name)), f"is not listed in {lists[0].name}")
        else:
            others.append(user_files.printable(Path(name)))
    if others:
        print(f"{len(others)} files are not listed and not used: {user_files.some(others)}")


def _check_labels(folder: Path, labels: Sequence[str], rows: Iterable[_Row]) -> None:
    if len(labels) < 2:
        raise DataError(
            f"{folder}: needs two or more classes to train on; listed in {TRAIN} are {list(labels)}"
        )
    trained = set(labels)
    unknown = next((row for row in rows if row.label not in trained), None)
    if unknown:
        raise DataError(
            f"{unknown.where}: {TRAIN} has no class {unknown.label!r}, which {unknown.part} has: "
            f"list images of it in {TRAIN}, or take it out"
        )
