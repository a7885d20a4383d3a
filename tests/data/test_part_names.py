from pathlib import PurePath

import pytest

from slimline.data import part_names


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"),
        ("TRAINING", "train"),
        ("training_set", "train"),
        ("seg_train", "train"),
        ("Valid", "val"),
        ("validation", "val"),
        ("Dev", "val"),
        ("testing", "test"),
        ("Test-Images", "test"),
        ("TrainingData", "train"),
        ("TestImages", "test"),
        ("traindata", "train"),
        ("ValSet", "val"),
        ("testset", "test"),
    ],
)
def test_names_of_parts(name: str, part: str) -> None:
    assert part_names.part_of(name) == part


@pytest.mark.parametrize(
    "name",
    [
        "train_station",
        "test tube",
        "TestTube",
        "invalid",
        "trainer",
        "contest",
        "testament",
        "train_test",
        "train2017",
        "data",
    ],
)
def test_what_may_mean_something_else_is_no_part(name: str) -> None:
    assert part_names.part_of(name) is None


def test_some_names_resemble_a_part() -> None:
    assert part_names.resembles_part("train2017") == "train"
    assert part_names.resembles_part("my-test-2") == "test"
    assert part_names.resembles_part("ValData2017") == "val"
    assert part_names.resembles_part("contest") is None


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["train/a", "Test/a", "testing"], ["Test", "train"]),
        (["a/val", "b/train"], ["train", "val"]),
        (["train", "training"], []),
        (["train/test", "a"], []),
        ([], []),
    ],
)
def test_names_of_several_parts(folders: list[str], names: list[str]) -> None:
    assert part_names.among(map(PurePath, folders)) == names
