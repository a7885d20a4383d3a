"""Image files as users have them: nothing about them is trusted.

Every file is decoded once here; what cannot be used is named with its reason, and the run stops, or
goes on without it. Which file is of which class is known by `slimline.data.folders` and
`slimline.data.lists`.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slimline.data import exact_copies, file_check, image_search, preprocessing
from slimline.data.file_check import Bad, UserFile, UserImage
from slimline.data.part_names import TEST, TRAIN, VALIDATION
from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_set import Part, RawSet
from slimline.data.split_files import ImageFiles
from slimline.errors import DataError

_SHOWN = 50
"""Bad files that are named in a message."""
_NAMED = 5
"""Names in a sentence; of a set of 1,000 classes it would be no sentence otherwise."""

_WHITE_FROM = 2**15
"""A set of 16 bits in which no value reaches half of white is one of fewer bits."""


def read(
    folder: Path,
    found: Sequence[UserFile],
    labels: Sequence[str],
    *,
    bad: Sequence[Bad] = (),
    size: int,
    crop: float,
    skip_bad: bool,
    looks: bool = False,
    without_files: str = "its folder is empty",
) -> RawSet:
    """Return the set of some files, every file of it decoded once.

    `labels` are the classes of the training part, sorted; `bad` is what is known to be unusable;
    `looks` asks for what near copies are found by; `without_files` is said of a class of which no
    file was found.

    Raises:
        DataError: a class has no image to train on, or there are bad files and these shall not be
            skipped.
    """
    _check_labels(folder, labels)
    _report_alike(labels)
    checked = file_check.check_all(found, looks=looks)
    images = [each for each in checked if isinstance(each, UserImage)]
    images, copies = exact_copies.without_copies(images)
    undecodable = [each for each in checked if isinstance(each, Bad)]
    _report(folder, [*bad, *undecodable, *copies], skip_bad=skip_bad)
    _refuse_dark(folder, images)
    channels = 1 if all(each.is_grey for each in images) else 3
    frame = Preprocessing(size, size, channels, mean=(), std=(), crop=crop, draft=True)
    parts = _parts(folder, images, found, labels, frame)
    _require_training(folder, parts[TRAIN], labels, found, without_files)
    return RawSet(labels, parts[TRAIN], validation=parts.get(VALIDATION), test=parts.get(TEST))


def one_spelling(folder: Path, names: Iterable[str]) -> None:
    """Refuse two classes that look alike.

    Raises:
        DataError: two names are the same but for how Unicode composes their letters.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise DataError(
                f"{folder}: the classes {other!a} and {name!a} look the same, "
                f"{printable(Path(name))}, and differ in how Unicode composes their letters, which "
                "macOS takes apart: put their photos under one of the two names"
            )


def _report_alike(labels: Sequence[str]) -> None:
    """Tell of classes that may be one; `a` and `A` are two where letters are recognised."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        alike["".join(label.casefold().split())].append(repr(label))
    groups = [" and ".join(names) for names in alike.values() if len(names) > 1]
    if groups:
        print(
            f"warning: the classes {some(groups)} differ only in case or blanks: if they are one, "
            "give their photos one name"
        )


def refuse_links(folder: Path) -> None:
    """Refuse a set that lies elsewhere, wholly or in part.

    Raises:
        DataError: the folder is a symbolic link, or one is in it that leads to a folder.
    """
    if folder.is_symlink():
        _refuse_link(folder)
    for root, folders, _ in os.walk(folder, onerror=_unreadable):
        for name in folders:
            if (Path(root) / name).is_symlink():
                _refuse_link(Path(root) / name)


def _refuse_link(path: Path) -> NoReturn:
    raise DataError(
        f"{printable(path)}: is a link to the folder {printable(path.readlink())}, and DVC would "
        f"not see when photos change there: put the folder itself in its place (cp -rL copies it)"
    )


def _unreadable(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from None


def files_under(folder: Path) -> list[Path]:
    """Return all files at any depth, sorted, without hidden ones and those of systems."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not image_search.is_system(Path(name))]
        yield from (Path(root) / name for name in names if not image_search.is_system(Path(name)))


def report_system_files(folder: Path) -> None:
    """Tell of images that are not used since they, or their folders, are hidden or a system's."""
    left_out: dict[str, int] = defaultdict(int)
    for root, _, names in os.walk(folder):
        within = Path(root).relative_to(folder)
        # The folder itself may be called anything: only what lies in it is judged.
        outermost_first = [*reversed(within.parents), within]
        above = next((each for each in outermost_first if image_search.is_system(each)), None)
        for name in names:
            is_left_out = above or image_search.is_system(Path(name))
            if is_left_out and looks_like_photo(Path(name)):
                left_out[printable(above or within / name)] += 1
    if count := sum(left_out.values()):
        are = "image is" if count == 1 else "images are"
        print(f"{count} {are} hidden or a system's thumbnail, not used: {some(sorted(left_out))}")


def looks_like_photo(path: Path) -> bool:
    """Return whether Pillow knows the suffix of a file; nothing is opened."""
    format_name = Image.registered_extensions().get(path.suffix.lower())
    return format_name in Image.OPEN


def some(names: Sequence[str]) -> str:
    """Return the first few of some names and how many there are besides."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def printable(path: Path) -> str:
    """Return a path as text that is safe in a terminal, a log and JSON."""
    text = path.as_posix()
    return text if text.isprintable() else ascii(text)[1:-1]


def _refuse_dark(folder: Path, images: Sequence[UserImage]) -> None:
    """Refuse photos of, say, 12 bits in files of 16, of which preprocessing would keep 4 bits.

    Scaling each file by its own values would make one scene differ from photo to photo, and what
    training, evaluation and `predict` see must not depend on the other files.

    Raises:
        DataError: no file of 16 bits in the set has a value in the upper half.
    """
    # A photo that is all black is so at any depth.
    deep = [(each.highest, each.found.name) for each in images if each.highest]
    highest = max((value for value, _ in deep), default=_WHITE_FROM)
    if highest < _WHITE_FROM:
        bits = max(8, highest.bit_length())
        raise DataError(
            f"{folder}: {len(deep)} files of 16 bits, as {deep[0][1]}, hold no value above "
            f"{highest} of 65535, as if they had {bits} bits, and would be nearly black: multiply "
            f"their values by {2 ** (16 - bits)} and save them again"
        )
    dark = [name for value, name in deep if value < preprocessing.DARK_BELOW]
    if dark:
        print(
            f"{len(dark)} files of 16 bits hold no value above {preprocessing.DARK_BELOW - 1} "
            f"though others reach {highest}, and are nearly black: {some(dark)}"
        )


def _report(folder: Path, bad: Sequence[Bad], *, skip_bad: bool) -> None:
    if not bad:
        return
    lines = [f"  {each}" for each in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    told = "\n".join([f"{folder}: {len(bad)} files cannot be used:", *lines])
    if not skip_bad:
        raise DataError(f"{told}\nmend or remove them, or set data.on_bad_image: skip")
    print(f"{told}\ngoing on without them, as data.on_bad_image says")


def _check_labels(folder: Path, labels: Sequence[str]) -> None:
    unprintable = [label for label in labels if not label.isprintable()]
    if unprintable:
        raise DataError(f"{folder}: a class needs a printable name; {unprintable[0]!a} is none")


def _require_training(
    folder: Path,
    train: Part,
    labels: Sequence[str],
    found: Sequence[UserFile],
    without_files: str,
) -> None:
    counts = np.bincount(train.labels, minlength=len(labels)).tolist()
    missing = [label for label, count in zip(labels, counts, strict=True) if not count]
    if not missing:
        return
    has_files = any(each.part == TRAIN and each.label == missing[0] for each in found)
    why = "none of its files can be used" if has_files else without_files
    rest = [repr(label) for label in missing[1:]]
    raise DataError(
        f"{folder}: class {missing[0]!r} has no image that can be trained on: {why}; add photos "
        f"or take the class out{f', and likewise {some(rest)}' if rest else ''}"
    )


def _parts(
    folder: Path,
    images: Sequence[UserImage],
    found: Sequence[UserFile],
    labels: Sequence[str],
    frame: Preprocessing,
) -> dict[str, Part]:
    """Return the parts that the user has, and train in any case.

    Raises:
        DataError: nothing of a part that is held out can be used.
    """
    has_groups = any(each.group for each in found)
    parts = {}
    for name in {TRAIN, *(each.part for each in found)}:
        own = [each for each in images if each.found.part == name]
        if not own and name != TRAIN:
            raise DataError(f"{folder}: none of the files in {name} can be used: mend or remove it")
        parts[name] = _part(own, labels, frame, has_groups)
    return parts


def _part(
    images: Sequence[UserImage], labels: Sequence[str], frame: Preprocessing, has_groups: bool
) -> Part:
    positions = {label: position for position, label in enumerate(labels)}
    return Part(
        ImageFiles([each.file for each in images], frame),
        np.array([positions[each.found.label] for each in images], np.int64),
        _group_numbers(images) if has_groups else None,
    )


def _group_numbers(images: Sequence[UserImage]) -> NDArray[np.int64]:
    """Return a number for each group, and one of its own for each image without a group."""
    numbers: dict[tuple[str, str], int] = {}
    keys = [(each.found.group, "" if each.found.group else each.found.name) for each in images]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
