import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import photos
import pytest
import torch
import toy
from PIL import Image

from slimline.data import packed_files, split_files
from slimline.data.packed_files import Member
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import ImageFile, ImageFiles, Split
from slimline.training import augmentation, loader
from slimline.training.settings import Recipe

FRAME = Preprocessing(8, 8, 1, mean=(0.0,), std=(1.0,))
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), np.uint8)
SPLIT = Split(IMAGES, np.arange(50), [str(each) for each in range(50)], FRAME)

MOVED = toy.NO_AUGMENT.model_copy(update={"flip": True, "shift": 2})


def recipe(**changes: object) -> Recipe:
    settings = {
        "epochs": 2, "batch_size": 10, "optimizer": "sgd", "learning_rate": 0.1,
        "weight_decay": 0.0, "label_smoothing": 0.0, "validations": 1,
        "augment": toy.NO_AUGMENT, "step": toy.PLAIN_STEP,
        "balance": "none", "select_by": "auto", "num_workers": 0,
    }  # fmt: skip
    return Recipe(**(settings | changes))


def batches(settings: Recipe, seed: int = 1) -> list[loader.Batch]:
    return list(loader.training_batches(SPLIT, FRAME, settings, seed=seed))


def test_every_image_once_per_epoch() -> None:
    labels = torch.cat([labels for _, labels in batches(recipe())]).view(2, 50)
    assert all(sorted(epoch.tolist()) == list(range(50)) for epoch in labels)
    assert labels[0].tolist() != labels[1].tolist()


def test_without_augmentation_images_are_as_they_are() -> None:
    images, labels = batches(recipe())[0]
    assert torch.equal(images, torch.from_numpy(FRAME.normalise(IMAGES[labels.numpy()])))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_never_change_the_bytes(workers: int) -> None:
    alone = batches(recipe(augment=MOVED))
    helped = batches(recipe(augment=MOVED, num_workers=workers))
    for (one, _), (other, _) in zip(alone, helped, strict=True):
        assert torch.equal(one, other)


def test_augmentation_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    iterator = iter(loader.training_batches(SPLIT, FRAME, recipe(augment=MOVED), seed=1))
    first = next(iterator)[0]
    assert torch.rand(1) == expected
    assert not torch.equal(first, batches(recipe())[0][0])


def test_a_fraction_of_an_epoch() -> None:
    assert loader.num_steps(SPLIT, recipe(epochs=0.5)) == 2
    assert len(batches(recipe(epochs=1.5))) == 8


@pytest.mark.parametrize(
    "change",
    [{"crop": 0.3}, {"flip": True}, {"shift": 2}, {"color": 0.5}, {"randaugment": 9},
     {"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}],
)  # fmt: skip
def test_each_change_changes_images_and_repeats(change: dict[str, float]) -> None:
    settings = recipe(augment=toy.NO_AUGMENT.model_copy(update=change))
    plain = torch.cat([images for images, _ in batches(recipe())])
    first, again, other = (
        torch.cat([images for images, _ in batches(settings, seed=seed)]) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == plain.shape
    assert not torch.equal(first, plain)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_labels_are_shares(kind: str) -> None:
    settings = recipe(augment=toy.NO_AUGMENT.model_copy(update={kind: 1.0}))
    _, labels = batches(settings)[0]
    assert labels.shape == (10, 50)
    assert torch.allclose(labels.sum(1), torch.ones(10))
    assert ((labels > 0).sum(1) == 2).all()


def test_no_object_is_made_for_an_image_before_its_batch() -> None:
    """Three epochs of two million images, as pairs of (epoch, index), would take 800 MB."""
    count = 2_000_000
    images = np.broadcast_to(IMAGES[:1], (count, 8, 8, 1))
    split = Split(images, np.zeros(count, np.int64), ["a"], FRAME)
    tracemalloc.start()
    batches = loader.training_batches(split, FRAME, recipe(epochs=3), seed=1)
    next(iter(batches))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


def test_no_index_of_a_split_is_made_for_a_batch(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(photo := BytesIO(), "JPEG")
    packed_files.write(tmp_path / "images", [Member(photo.getvalue(), "", "00", ".jpg")], 1)
    packed = packed_files.load(tmp_path / "images").take(np.zeros(2_000_000, np.int64))
    images = ImageFiles(packed, Preprocessing(8, 8, 3, mean=(0.0,) * 3, std=(1.0,) * 3))
    images.read([0], threads=1)
    tracemalloc.start()
    assert images.read([0, -1], threads=1).shape == (2, 8, 8, 3)
    assert images.read(slice(-2, None), threads=1).shape == (2, 8, 8, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6


@pytest.mark.parametrize(("count", "sizes"), [
    (1, [1]), (100, [100]), (250, [250]), (251, [125, 126]), (1000, [250] * 4),
    (1003, [200, 201, 200, 201, 201]),
])  # fmt: skip
def test_batches_of_a_mean_are_alike(count: int, sizes: list[int]) -> None:
    images = np.zeros((count, 8, 8, 1), np.uint8)
    split = Split(images, np.arange(count), ["a"] * count, FRAME)
    labels = [labels for _, labels in loader.even_batches(split, FRAME)]
    assert [len(each) for each in labels] == sizes
    assert torch.cat(labels).tolist() == list(range(count))


def test_batches_of_a_mean_are_alike_however_many_there_are() -> None:
    split = Split(np.zeros((2501, 8, 8, 1), np.uint8), np.zeros(2501, np.int64), ["a"], FRAME)
    assert {len(each) for each, _ in loader.even_batches(split, FRAME, most=50)} == {49, 50}


@pytest.mark.parametrize("size", [7, 16, 50, 120])
def test_batches_go_over_the_ends_of_epochs(size: int) -> None:
    settings = recipe(batch_size=size, epochs=4)
    labels = [labels for _, labels in batches(settings)]
    assert {len(each) for each in labels} == {size}
    in_order = torch.cat(labels)
    assert len(in_order) == size * loader.num_steps(SPLIT, settings)
    for start in range(0, len(in_order) - 49, 50):
        assert sorted(in_order[start : start + 50].tolist()) == list(range(50))


def uneven() -> Split:
    labels = np.repeat([0, 1, 2], [30, 15, 5])
    return Split(IMAGES, labels, ["a", "b", "c"], FRAME)


def test_a_balanced_sampler_draws_all_classes_equally_often() -> None:
    batches = loader.training_batches(uneven(), FRAME, recipe(balance="sampler", epochs=40), seed=1)
    drawn = torch.bincount(torch.cat([labels for _, labels in batches]))
    assert (abs(drawn / drawn.sum() - 1 / 3) < 0.05).all()


def test_class_weights_make_up_for_their_number() -> None:
    weights = loader.class_weights(uneven())
    assert np.allclose(weights * [30, 15, 5], 50 / 3)


def test_files_feed_training_as_arrays_do(tmp_path: Path) -> None:
    """Photos are decoded by the workers; a cut is made of the whole photo."""
    split = photos.prepare(tmp_path)["train"]
    frame = split.preprocessing
    plain = list(loader.training_batches(split, frame, recipe(), seed=1))
    images, _ = plain[0]
    everything = torch.from_numpy(frame.normalise(split.images[:]))
    assert images.shape == (10, 3, 32, 32)
    assert all((each == everything).all(dim=(1, 2, 3)).any() for each in images)
    cut = recipe(augment=toy.NO_AUGMENT.model_copy(update={"crop": 0.2}))
    alone, helped = (
        [
            images
            for images, _ in loader.training_batches(
                split, frame, cut.model_copy(update={"num_workers": workers}), seed=1
            )
        ]
        for workers in (0, 2)
    )
    assert all(torch.equal(one, two) for one, two in zip(alone, helped, strict=True))
    assert not torch.equal(alone[0], images)


def test_a_split_that_is_mapped_into_memory_is_read_as_well(tmp_path: Path) -> None:
    """It may not be written, of which torch warns."""
    split_files.save(tmp_path / "saved", SPLIT)
    mapped = split_files.load(tmp_path / "saved")
    (images, labels), *_ = loader.fixed_batches(mapped, FRAME)
    assert torch.equal(images, torch.from_numpy(FRAME.normalise(IMAGES)))
    assert labels.tolist() == list(range(50))


def test_a_cut_of_a_large_jpeg_is_decoded_small_and_never_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)).save(path)
    frame = Preprocessing(32, 32, 3, mean=(0.0,) * 3, std=(1.0,) * 3, draft=True)
    files = ImageFiles([ImageFile(path, "large", "", ".jpg")], frame)
    augment = toy.NO_AUGMENT.model_copy(update={"crop": 0.35})
    least = augmentation.least_size(augment, 32)
    assert files.whole(0, least).shape == (113, 150, 3)
    assert 113 * (0.35 * 3 / 4) ** 0.5 > 32, "the smallest cut of a square"
    assert files.whole(0).shape == (900, 1200, 3)
