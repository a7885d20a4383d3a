import base64
import io

import numpy as np
import tiny_model
from PIL import Image

from slimline.data.split_files import Split
from slimline.measure import newly_wrong

COUNT = 60


def found(shape: tuple[int, int, int], wrong: int) -> list[newly_wrong.NewlyWrong]:
    """What a variant newly gets wrong: the first images, the later the more certain."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, *shape), np.uint8)
    labels = np.zeros(COUNT, np.int64)
    split = Split(images, labels, tiny_model.CLASSES, tiny_model.FRAME)
    logits = np.zeros((COUNT, 4), np.float32)
    logits[:, 0] = 3
    logits[:wrong, 2] = 4 + np.arange(wrong) / 10
    return newly_wrong.find(split, logits, labels)


def test_the_most_certain_mistakes_come_first() -> None:
    images = found((28, 28, 1), wrong=3)
    assert [each.row for each in images] == [2, 1, 0]
    assert {(each.label, each.before, each.after) for each in images} == {(0, 0, 2)}
    assert newly_wrong.from_dict(newly_wrong.to_dict(images)) == images


def test_small_grey_images_are_kept_as_they_are() -> None:
    png = Image.open(io.BytesIO(base64.b64decode(found((28, 28, 1), wrong=1)[0].png)))
    assert (png.mode, png.size) == ("L", (28, 28))


def test_photos_become_small() -> None:
    images = found((160, 224, 3), wrong=COUNT)
    png = Image.open(io.BytesIO(base64.b64decode(images[0].png)))
    assert png.size == (48, 34)
    assert len(images) <= 24
    assert sum(len(each.png) for each in images) <= 40_000


def test_what_the_reference_gets_wrong_too_is_not_new() -> None:
    labels = np.zeros(4, np.int64)
    split = Split(np.zeros((4, 8, 8, 1), np.uint8), labels, tiny_model.CLASSES, tiny_model.FRAME)
    logits = np.eye(4, dtype=np.float32)
    assert newly_wrong.find(split, logits, np.ones(4, np.int64)) == []
