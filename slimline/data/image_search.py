"""Which files of a folder are images that a person would want answered. Free of torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from slimline.errors import DataError

_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
_SYSTEM_FOLDERS = {
    "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "$recycle.bin",
    "__macosx", "__pycache__", "_vti_cnf", "lost+found", "recycler", "system volume information",
}  # fmt: skip
"""Where NAS boxes, Windows and macOS keep thumbnails and what was deleted; lower case."""

_PHONE_SUFFIXES = {".heic", ".heif", ".hif", ".avif"}
"""Of what phones write and Pillow reads by plugins, if at all."""


@dataclass(frozen=True)
class Found:
    """What lies in a folder, at any depth."""

    images: Sequence[Path]
    """In the order of their names."""
    left_out: Sequence[Path]
    """All else; a folder that is not looked into stands for all that is in it."""


def search(folder: Path) -> Found:
    """Return the files under a folder that are images by their names, and what is left out.

    By their names, so that a photo that is damaged is found, and a text beside it is left out. What
    is hidden or a system's is no image; links to folders are not followed, since they may lead in a
    circle.

    Raises:
        DataError: a folder cannot be listed.
    """
    images: list[Path] = []
    left_out: list[Path] = []
    suffixes = _suffixes()
    for root, folders, names in os.walk(folder, onerror=_refuse):
        here = Path(root)
        passed = [name for name in folders if is_system(here / name) or (here / name).is_symlink()]
        # os.walk goes down into what stays in its list.
        folders[:] = [name for name in folders if name not in passed]
        left_out += [here / name for name in passed]
        for path in map(here.joinpath, names):
            is_image = path.suffix.lower() in suffixes and not is_system(path)
            (images if is_image else left_out).append(path)
    return Found(sorted(images), sorted(left_out))


def _suffixes() -> set[str]:
    """Return the suffixes, lower case with the dot, of the images that Pillow reads.

    It knows those of videos and documents as well.
    """
    return {
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and Image.MIME.get(name, "image/").startswith("image/")
    }


def is_system(path: Path) -> bool:
    """Return whether a file or folder is hidden or one that systems make by themselves."""
    name = path.name.lower()
    return name.startswith(".") or name in _SYSTEM_FILES or name in _SYSTEM_FOLDERS


def why_unknown(path: Path) -> str:
    """Return what to say of a file that Pillow takes for no image."""
    is_of_phone = path.suffix.lower() in _PHONE_SUFFIXES
    hint = ": convert it to JPEG first, as HEIC photos of iPhones must be" if is_of_phone else ""
    return f"is no image that Pillow can read{hint}"


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed: {error.strerror}")
