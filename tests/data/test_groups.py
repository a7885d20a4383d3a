"""Groups stay in one split, and every class keeps something to train on, whatever the seed."""

from pathlib import Path

import numpy as np
import photos
import pytest
import small_photos
from numpy.typing import NDArray

from slimline.data import splitting
from slimline.errors import DataError

WANTED = {"validation": 40, "calibration": 20, "test": 30}


def rows(
    labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 1, **wanted: int
) -> dict[str, NDArray[np.int64]]:
    taken = splitting._grouped_rows(labels, groups, wanted or WANTED, seed)
    return dict(zip([*(wanted or WANTED), "train"], taken, strict=True))


def random_groups(seed: int, sizes: tuple[int, int] = (1, 9)) -> tuple[NDArray[np.int64], ...]:
    """Return labels and groups of some hundred images; most groups are of one class."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(120), generator.integers(*sizes, 120))
    labels = generator.integers(0, 4, 120)[groups]
    odd = generator.random(len(labels)) < 0.1
    return np.where(odd, generator.integers(0, 4, len(labels)), labels), groups


@pytest.mark.parametrize("seed", range(8))
def test_no_group_is_in_two_splits(seed: int) -> None:
    labels, groups = random_groups(seed)
    taken = rows(labels, groups, seed)
    assert sorted(np.concatenate(list(taken.values())).tolist()) == list(range(len(labels)))
    owners = {name: set(groups[index].tolist()) for name, index in taken.items()}
    assert sum(map(len, owners.values())) == 120
    assert {name: len(taken[name]) for name in WANTED} == WANTED
    assert set(labels[taken["train"]].tolist()) == {0, 1, 2, 3}


def test_groups_are_stratified() -> None:
    groups = np.repeat(np.arange(200), 3)
    labels = groups % 4
    taken = rows(labels, groups, validation=60, calibration=30, test=60)
    for index in taken.values():
        counts = np.bincount(labels[index], minlength=4)
        assert counts.max() - counts.min() <= 6


def test_the_seed_decides() -> None:
    labels, groups = random_groups(0)
    first, again, other = (rows(labels, groups, seed)["test"].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("sizes", "wanted", "nearest"),
    [
        ([10] * 9, 24, 20),
        ([10] * 9, 26, 30),
        ([10] * 9, 1, 10),
        ([2, 2, 5, 7], 5, 5),
        ([6, 6, 6, 5, 5], 10, 10),
        ([6, 9, 20], 43, 35),
        ([50, 60], 3, 50),
        ([3, 3, 3, 1], 7, 7),
        ([1000] * 500 + [999] * 3, 2997, 2997),
    ],
)
def test_the_sum_is_the_nearest_there_is(sizes: list[int], wanted: int, nearest: int) -> None:
    chosen = splitting._nearest(np.array(sizes), wanted)
    assert np.array(sizes)[chosen].sum() == nearest


@pytest.mark.parametrize("seed", range(20))
def test_no_other_choice_is_nearer(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 40, 9)
    wanted = int(generator.integers(1, 150))
    choices = (np.arange(1, 2**9)[:, np.newaxis] >> np.arange(9)) & 1
    best = np.abs(choices @ sizes - wanted).min()
    assert abs(int(sizes[splitting._nearest(sizes, wanted)].sum()) - wanted) == best


def test_many_groups_take_no_time() -> None:
    sizes = np.random.default_rng(0).integers(1, 300, 30_000)
    assert sizes[splitting._nearest(sizes, 200_000)].sum() == 200_000


def test_too_few_groups() -> None:
    groups = np.repeat(np.arange(4), 30)
    with pytest.raises(DataError, match=r"data\.test_images: no group is left for test, since"):
        rows(groups % 2, groups)


def listed(folder: Path, labels: str, size: int) -> None:
    """Write a photo for each letter, in groups of one class."""
    lines = ["file,label,group"]
    for number, label in enumerate(labels):
        small_photos.save(folder / "all" / f"{number}.png")
        lines.append(f"all/{number}.png,{label},{label}{number // size}")
    (folder / "labels.csv").write_text("\n".join(lines))


def test_a_list_with_groups_is_split_by_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(tmp_path / "set", "a" * 40 + "b" * 40, size=4)
    counts = {"validation_images": 10, "calibration_images": 8, "test_images": 17}
    parts = photos.prepare(tmp_path, make=False, source="set", **counts)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 48,
        "calibration": 8,
        "validation": 8,
        "test": 16,
    }
    printed = capsys.readouterr().out
    assert "validation has 8 images instead of 10, since groups stay together" in printed
    assert "test has 16 images instead of 17" in printed
    owners = [
        {int(Path(file.name).stem) // 4 for file in part.images.files.members()}  # type: ignore[union-attr]
        for part in parts.values()
    ]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 20


def test_a_class_with_one_photo_is_trained_on_whatever_the_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_photos.fill(tmp_path / "set", "oak", "elm", count=20)
    small_photos.fill(tmp_path / "set", "ash", count=1)
    small_photos.fill(tmp_path / "set", "yew", count=2)
    for seed in range(6):
        parts = photos.prepare(tmp_path, make=False, source="set", seed=seed, image_size=8)
        counts = np.bincount(parts["train"].labels, minlength=4)
        assert counts.sum() == 4
        assert counts[0] == 1
        assert counts[3] >= 1
        printed = capsys.readouterr().out
        assert "1 class has a single photo to train on" in printed
        assert "add photos, ten or more each, or take the classes out" in printed
        assert "test has no images of 'ash'" in printed


def test_fewer_photos_than_classes_are_left_whatever_the_seed(tmp_path: Path) -> None:
    small_photos.fill(tmp_path / "set", *map(str, range(41)), count=1)
    for seed in range(3):
        with pytest.raises(DataError, match="too few images: none is left to train on; add photos"):
            photos.prepare(tmp_path, make=False, source="set", seed=seed, image_size=8)
