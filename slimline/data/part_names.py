"""What people call the three parts of a set, as folders and in lists."""

import re
from collections.abc import Iterable
from pathlib import PurePath

TRAIN, VALIDATION, TEST = "train", "val", "test"
PARTS = (TEST, VALIDATION, TRAIN)
"""Of the same image in several parts, the copy in the first of these stays."""

ALLOWED = "train (or training), val (valid, validation, dev), test (testing)"
"""For messages."""

_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
_FILLERS = {
    "data", "dataset", "image", "images", "img", "imgs", "photos", "pictures", "seg", "set",
    "split",
}  # fmt: skip
"""Words that say nothing beside one of the others, as in `training_set` and `seg_train`."""
_JOINED = {f"{word}{filler}": part for word, part in _WORDS.items() for filler in _FILLERS}
_PART_OF_WORD = _WORDS | _JOINED


def part_of(name: str) -> str | None:
    """Return the part that a name stands for, if it can mean nothing else."""
    words = re.split(r"[ ._-]+", _apart(name.strip(" ")))
    parts = [_PART_OF_WORD[word] for word in words if word in _PART_OF_WORD]
    is_plain = all(word in _PART_OF_WORD or word in _FILLERS for word in words)
    return parts[0] if is_plain and len(parts) == 1 else None


def resembles_part(name: str) -> str | None:
    """Return the first part that any word of a name stands for, as in `train2017`."""
    words = re.findall(r"[^\W\d_]+", _apart(name))
    return next((_PART_OF_WORD[word] for word in words if word in _PART_OF_WORD), None)


def _apart(name: str) -> str:
    """Return a name in small letters, with `TrainImages` as two words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()


def among(folders: Iterable[PurePath]) -> list[str]:
    """Return names at the same depth of some folders that stand for different parts, one of each.

    There are none, or two and more: a single `train` may be anything.
    """
    named: dict[int, dict[str, str]] = {}
    for depth, name in sorted({each for folder in folders for each in enumerate(folder.parts)}):
        if part := part_of(name):
            named.setdefault(depth, {}).setdefault(part, name)
    return next((list(found.values()) for found in named.values() if len(found) > 1), [])
