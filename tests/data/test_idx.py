from pathlib import Path

import pytest
import small_photos
import toy

from slimline.data import idx, sources
from slimline.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy.make_data(tmp_path / "toy")
    return tmp_path / "toy"


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as refused:
        idx.read(folder)
    return str(refused.value)


def test_train_and_test_are_read(folder: Path) -> None:
    found = idx.read(folder)
    assert (len(found.train), found.validation, len(found.test or [])) == (1800, None, 300)
    assert found.classes[9] == "Ankle boot"


def test_a_flipped_bit_is_found(folder: Path) -> None:
    path = folder / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert f"{path}: is damaged" in refusal(folder)


def test_a_missing_file(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    assert "is missing" in refusal(folder)


def test_checksums_as_other_tools_write_them(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text("\n" + sums.read_text().replace("  ", " *") + "\n\r\n")
    assert "*train" in sums.read_text()
    assert len(idx.read(folder).train) == 1800


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"abc\n", "line 1: needs a SHA-256 and the name of a file, as sha256sum writes them"),
        (b"ab  caf\xe9\n", "is not UTF-8"),
        (None, "the file is missing"),
    ],
)
def test_checksums_that_are_none(folder: Path, content: bytes | None, told: str) -> None:
    (folder / "SHA256SUMS").unlink()
    if content is not None:
        (folder / "SHA256SUMS").write_bytes(content)
    assert f"{folder / 'SHA256SUMS'}: {told}" in refusal(folder)


def test_class_names_that_are_not_utf8(folder: Path) -> None:
    (folder / "classes.txt").write_bytes(b"caf\xe9\n")
    assert "classes.txt: is not UTF-8" in refusal(folder)


@pytest.mark.parametrize("content", [b"ab  oak/0.png\n\n", b"ab  caf\xe9\n"])
def test_photos_may_have_checksums(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    small_photos.fill(tmp_path / "set", "oak", "elm")
    (tmp_path / "set" / "SHA256SUMS").write_bytes(content)
    found = sources.read(
        "set", tmp_path, tmp_path / "scratch", size=16, crop=1, skip_bad=False, looks=False
    )
    assert found.classes == ["elm", "oak"]
    assert "not used: SHA256SUMS" in capsys.readouterr().out
