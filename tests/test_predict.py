"""What `predict` answers, beside what stage `evaluate` does."""

from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

from slimline import predict
from slimline.artifacts import description
from slimline.data.split_files import ImageFile, ImageFiles
from slimline.errors import DataError
from slimline.measure import softmax
from slimline.predict import Prediction

NUM_PHOTOS = 37


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.write(tmp_path / "model")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Of any size, and so dim that no class is sure."""
    noise = np.random.default_rng(1)
    paths = [tmp_path / f"{position}.png" for position in range(NUM_PHOTOS)]
    for path in paths:
        height, width = noise.integers(5, 40, 2)
        Image.fromarray(noise.integers(0, 60, [height, width, 3], np.uint8)).save(path)
    return paths


def answers(model: Path, photos: list[Path]) -> list[list[Prediction]]:
    found = list(predict.predict(predict.load(model), photos, top=4))
    assert not any(isinstance(each, DataError) for each in found)
    return [each for each in found if not isinstance(each, DataError)]


def test_answers_are_those_of_evaluate(model: Path, photos: list[Path]) -> None:
    images = ImageFiles([ImageFile(each, each.name, "", "") for each in photos], tiny_model.FRAME)
    logits = description.deployable(model).predict(images, tiny_model.FRAME, num_threads=1)
    shares = np.exp(softmax.log_shares(logits))
    for found, expected in zip(answers(model, photos), shares, strict=True):
        best = np.argsort(-expected, kind="stable")
        assert [each.label for each in found] == [tiny_model.CLASSES[each] for each in best]
        assert [each.share for each in found] == pytest.approx(expected[best].tolist(), abs=1e-6)


@pytest.mark.parametrize("size", [1, 2, 16, 100])
def test_the_batch_changes_no_answer(
    model: Path, photos: list[Path], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(model, photos)
    monkeypatch.setattr(predict, "_BATCH", size)
    for found, wanted in zip(answers(model, photos), expected, strict=True):
        assert [each.label for each in found] == [each.label for each in wanted]
        assert [each.share for each in found] == pytest.approx([each.share for each in wanted])


def test_answers_come_before_all_is_read(model: Path, photos: list[Path]) -> None:
    """A batch beyond the one that is answered is read, not more: memory does not grow."""
    found = predict.predict(predict.load(model), [*photos, *photos])
    first = next(found)
    photos[-1].unlink()
    assert not isinstance(first, DataError)
    assert sum(isinstance(each, DataError) for each in found) == 2
