"""Raw sets of image files in a folder per class, as users have them.

Either `<class>/...` or `train/<class>/...` with optional `val/` and `test/` of the same classes,
also by the other names of `slimline.data.part_names`. A layout that could mean two things is
refused with a sentence, never guessed. What the files hold is judged in `slimline.data.user_files`.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimline.data import image_search, lists, part_names, user_files
from slimline.data.file_check import Bad, UserFile
from slimline.data.part_names import TRAIN
from slimline.data.raw_set import RawSet
from slimline.errors import DataError


def read(folder: Path, *, size: int, crop: float, skip_bad: bool, looks: bool = False) -> RawSet:
    """Return the set of a folder, every file of it decoded once, as `user_files.read` does.

    Raises:
        DataError: the layout is none that is known, a list is none that is read, there are no
            classes or only one, a class has no image to train on, or there are bad files and these
            shall not be skipped.
    """
    lists.refuse_unread(folder)
    classes = _classes(_parts(folder))
    labels = sorted({each.label for each in classes if each.part == TRAIN})
    _check_classes(folder, labels, classes)
    below = {each: user_files.files_under(each.path) for each in classes}
    _check_inner(below)
    files = [
        UserFile(path, each.part, each.label, user_files.printable(path.relative_to(folder)))
        for each, paths in below.items()
        for path in paths
    ]
    _report_empty(folder, classes, files)
    user_files.report_system_files(folder)
    return user_files.read(
        folder,
        files,
        labels,
        bad=list(_strays(folder, {each.path for each in classes})),
        size=size,
        crop=crop,
        skip_bad=skip_bad,
        looks=looks,
    )


@dataclass(frozen=True)
class _Class:
    """The folder of a class in a part."""

    path: Path
    part: str
    label: str
    """In composed letters (NFC), so that a set is the same from macOS and from Linux."""


def _parts(folder: Path) -> dict[str, Path]:
    """Return where the class folders of each part are; all in one folder are for training.

    Raises:
        DataError: there are folders that look like parts but cannot be used as such.
    """
    below = _folders(folder)
    named = {path: part for path in below if (part := part_names.part_of(path.name))}
    others = [path for path in below if path not in named]
    if others and _is_class(named):
        print(f"{TRAIN}/ holds photos itself and is taken as a class")
        named = {}
    if not named:
        _refuse_resembling(folder, below)
        return {TRAIN: folder}
    _check_parts(folder, named, others)
    parts = {part: _unwrapped(path) for path, part in named.items()}
    for path in parts.values():
        _check_part(path)
    for path, part in named.items():
        if path.name != part:
            print(f"{user_files.printable(path)} is taken as {part}")
    return parts


def _is_class(named: Mapping[Path, str]) -> bool:
    """Return whether the one folder named like a part is a class, as `train` beside `car`.

    Of the words that parts are called by, train alone is a thing that is photographed.
    """
    return [path.name.casefold() for path in named] == [TRAIN] and all(map(_holds_photos, named))


def _check_parts(folder: Path, named: Mapping[Path, str], others: Sequence[Path]) -> None:
    """Refuse parts without train, twice the same part, and folders beside the parts.

    Raises:
        DataError: any of these.
    """
    names = {part: [path.name for path in named if named[path] == part] for part in named.values()}
    for part, same in names.items():
        if len(same) > 1:
            raise DataError(
                f"{folder}: {' and '.join(map(repr, same))} both mean {part}: put them together"
            )
    first = user_files.some([repr(path.name) for path in others])
    if TRAIN not in names:
        given = user_files.some([f"{path.name}/" for path in named])
        raise DataError(
            f"{folder}: has {given} but no {TRAIN}/: put the folders of the classes into {TRAIN}/, "
            "and if one of these is a class, that as well"
        )
    if others:
        raise DataError(
            f"{folder}: {first} beside {TRAIN}/ would not be used: parts are "
            f"{part_names.ALLOWED}; move classes into {TRAIN}/, and all else out of the set"
        )


def _check_part(path: Path) -> None:
    """Refuse a part that holds no class folders.

    Raises:
        DataError: photos lie in it directly, or nothing does.
    """
    if _folders(path):
        return
    found = "photos themselves" if _holds_photos(path) else "no photos"
    raise DataError(
        f"{user_files.printable(path)}: holds {found}, where a folder of photos for each class is "
        "needed: sort them into class folders, list them in labels.csv, or move the folder away"
    )


def _unwrapped(part: Path) -> Path:
    """Return the folder of a part's classes, where archives were unpacked as `train/train`."""
    below = _folders(part)
    is_wrapper = len(below) == 1 and below[0].name.casefold() == part.name.casefold()
    return _unwrapped(below[0]) if is_wrapper and not _holds_photos(part) else part


def _refuse_resembling(folder: Path, below: Sequence[Path]) -> None:
    """Refuse `train2017/` and `val2017/`, which would be two classes else.

    Raises:
        DataError: folders of the same classes are named after different parts.
    """
    alike = [path for path in below if part_names.resembles_part(path.name)]
    if len({part_names.resembles_part(path.name) for path in alike}) < 2:
        return
    inner = [{each.name for each in _folders(path)} for path in alike if not _holds_photos(path)]
    if len(inner) > 1 and set.intersection(*inner):
        names = user_files.some([repr(path.name) for path in alike])
        raise DataError(
            f"{folder}: {names} hold the same folders, as parts of a split do: call them "
            f"{part_names.ALLOWED}, or put them into {TRAIN}/ if they are classes"
        )


def _classes(parts: Mapping[str, Path]) -> list[_Class]:
    """Return all class folders, in the order of their names.

    Raises:
        DataError: two look alike.
    """
    found = []
    for part, root in parts.items():
        folders = _folders(root)
        user_files.one_spelling(root, [path.name for path in folders])
        found += [_Class(path, part, unicodedata.normalize("NFC", path.name)) for path in folders]
    return found


def _check_classes(folder: Path, labels: Sequence[str], classes: Sequence[_Class]) -> None:
    if len(labels) < 2:
        hint = f"; if {labels[0]!a} holds them, move them up" if labels else ""
        raise DataError(
            f"{folder}: needs a folder of images for each of two or more classes, directly or in "
            f"{TRAIN}/, or a labels.csv with the class of each file; found classes {list(labels)}"
            f"{hint}"
        )
    unknown = sorted({each.label for each in classes} - set(labels))
    if unknown:
        raise DataError(
            f"{folder}: {TRAIN}/ has no class {unknown[0]!r}, another part has: add its photos to "
            f"{TRAIN}/, or take it out there"
        )


def _check_inner(below: Mapping[_Class, Sequence[Path]]) -> None:
    """Refuse class folders whose own folders are parts, and tell where these could be the classes.

    Raises:
        DataError: `train/` and `test/` lie in a class folder.
    """
    inner = {each: _inner_folders(each, paths) for each, paths in below.items()}
    for each, within in inner.items():
        if names := part_names.among(within):
            raise DataError(
                f"{user_files.printable(each.path)}: holds {' and '.join(names)}, which would be "
                "mixed: put these outermost, with the class folders in them, or rename them if "
                "they are no parts"
            )
    trained = [each for each in inner if each.part == TRAIN]
    shared = set.intersection(*({path.parts[0] for path in inner[each]} for each in trained))
    if len(shared) > 1 and not any(_holds_photos(each.path) for each in trained):
        classes = user_files.some([repr(each.path.name) for each in trained])
        alike = user_files.some([repr(name) for name in sorted(shared)])
        print(
            f"warning: {user_files.printable(trained[0].path.parent)}: the classes are {classes}, "
            f"and all hold the same folders, {alike}: if those are the classes, put them in place "
            "of these, one folder each"
        )


def _inner_folders(each: _Class, paths: Sequence[Path]) -> set[Path]:
    """Return the folders of some files of a class, within it, without the class itself."""
    return {path.relative_to(each.path) for path in {path.parent for path in paths}} - {Path()}


def _report_empty(folder: Path, classes: Sequence[_Class], files: Sequence[UserFile]) -> None:
    """Tell of class folders that hold nothing; in train they are refused later."""
    filled = {(each.part, each.label) for each in files}
    empty = [
        user_files.printable(each.path.relative_to(folder))
        for each in classes
        if (each.part, each.label) not in filled
    ]
    if empty:
        are = "class folder is" if len(empty) == 1 else "class folders are"
        print(f"{len(empty)} {are} empty: {user_files.some(empty)}")


def _strays(folder: Path, classes: set[Path]) -> Iterator[Bad]:
    """Return photos that lie in no class; tell of other files there."""
    others = []
    for path in _loose_files(folder, classes):
        name = user_files.printable(path.relative_to(folder))
        if user_files.looks_like_photo(path):
            yield Bad(name, "lies in no class folder")
        else:
            others.append(name)
    if others:
        print(f"{len(others)} files in no class folder are not used: {user_files.some(others)}")


def _loose_files(folder: Path, classes: set[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if image_search.is_system(path) or path in classes:
            continue
        if path.is_dir():
            yield from _loose_files(path, classes)
        else:
            yield path


def _folders(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and not image_search.is_system(path)
    ]


def _holds_photos(folder: Path) -> bool:
    return any(
        user_files.looks_like_photo(path) and not image_search.is_system(path) and not path.is_dir()
        for path in folder.iterdir()
    )
