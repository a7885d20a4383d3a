from pathlib import Path

import pytest
import toy

from slimline.core import datasets
from slimline.core.datasets import DataParams
from slimline.core.errors import DataError

SETTINGS = DataParams(source="toy", image_size=28, validation_images=200, calibration_images=100)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    toy.make_data(tmp_path / "toy")
    return tmp_path


def refusal(raw: Path, settings: DataParams = SETTINGS) -> str:
    with pytest.raises(DataError) as refused:
        datasets.prepare(raw, settings, seed=1)
    return str(refused.value)


def test_another_size_is_resized(raw: Path) -> None:
    splits = datasets.prepare(raw, SETTINGS.model_copy(update={"image_size": 16}), seed=1)
    assert splits["test"].images.shape == (300, 16, 16, 1)


def test_the_seed_decides_the_split(raw: Path) -> None:
    first, again, other = (
        datasets.prepare(raw, SETTINGS, seed=seed)["validation"].images.tobytes()
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_flipped_bit_is_found(raw: Path) -> None:
    path = raw / "toy" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert f"{path}: is damaged" in refusal(raw)


def test_a_missing_file_and_a_missing_folder(raw: Path) -> None:
    assert "there is no folder" in refusal(raw, SETTINGS.model_copy(update={"source": "cats"}))
    assert "['toy']" in refusal(raw, SETTINGS.model_copy(update={"source": "cats"}))
    (raw / "toy" / "t10k-images-idx3-ubyte.gz").unlink()
    assert "is missing" in refusal(raw)


def test_too_few_images(raw: Path) -> None:
    told = refusal(raw, SETTINGS.model_copy(update={"validation_images": 1700}))
    assert "= 1800 leave nothing to train on" in told
