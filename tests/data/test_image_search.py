from collections.abc import Sequence
from pathlib import Path

import pytest

from slimline.data import image_search
from slimline.errors import DataError


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(folder: Path, paths: Sequence[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_what_is_hidden_or_a_systems_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "b/c.png", "a.png", "b/.c.png", ".d/e/f.png", "Thumbs.db", "@eaDir/g.jpg")
    found = image_search.search(tmp_path)
    assert names(tmp_path, found.images) == ["a.png", "b/c.png"]
    assert names(tmp_path, found.left_out) == [".d", "@eaDir", "Thumbs.db", "b/.c.png"]


def test_links(tmp_path: Path) -> None:
    """One to a folder may lead in a circle; one that leads nowhere is to be told."""
    make(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "c.png").symlink_to("nowhere.png")
    (tmp_path / "d").symlink_to(".")
    found = image_search.search(tmp_path)
    assert names(tmp_path, found.images) == ["a.png", "b.png", "c.png"]
    assert names(tmp_path, found.left_out) == ["d"]


def test_images_go_by_name(tmp_path: Path) -> None:
    images = ["a.JPG", "b.jpeg", "c.png", "d.webp", "e.tif", "f.bmp", "g.gif"]
    make(tmp_path, *images, "h.pdf", "i.mpg", "j.txt", "k", "l.eps", "m.heic", "n.json")
    assert names(tmp_path, image_search.search(tmp_path).images) == images


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match="cannot be listed: Permission denied"):
        image_search.search(tmp_path)
