from pathlib import Path

import pytest
import toy

from slimline.data import idx
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
