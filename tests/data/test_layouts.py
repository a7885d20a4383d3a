"""How people lay their photos out: `slimline.data.folders`, apart from what the files hold."""

import unicodedata
from pathlib import Path

import photos
import pytest
import small_photos

from slimline.data import folders
from slimline.data.raw_set import RawSet
from slimline.errors import DataError


def read(folder: Path, *, skip_bad: bool = False) -> RawSet:
    return folders.read(folder, size=16, crop=1, skip_bad=skip_bad)


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as refused:
        read(folder)
    return str(refused.value)


def lengths(found: RawSet) -> tuple[int, int | None, int | None]:
    parts = (found.validation, found.test)
    return len(found.train), *(None if part is None else len(part) for part in parts)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Train", "Dev", "TEST"),
        ("training", "validation", "testing"),
        ("training_set", "val_set", "test_set"),
        ("seg_train/seg_train", "valid/valid", "seg_test/seg_test"),
    ],
)
def test_parts_have_many_names(
    tmp_path: Path,
    train: str,
    validation: str,
    test: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, count in ((train, 4), (validation, 1), (test, 2)):
        small_photos.fill(tmp_path / name, "oak", "elm", count=count)
    assert lengths(read(tmp_path)) == (8, 2, 4)
    assert f"{Path(train).parts[0]} is taken as train" in capsys.readouterr().out


def test_a_part_may_hold_a_class_that_is_called_like_one(tmp_path: Path) -> None:
    small_photos.fill(tmp_path / "train", "test", "train")
    assert read(tmp_path).classes == ["test", "train"]


def test_a_folder_beside_the_parts_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("train", "test", "extra"):
        small_photos.fill(tmp_path / name, "oak", "elm")
    told = refusal(tmp_path)
    assert "'extra' beside train/ would not be used" in told
    assert "validation" in told


def test_two_folders_for_the_same_part_are_refused(tmp_path: Path) -> None:
    for name in ("train", "dev", "val"):
        small_photos.fill(tmp_path / name, "oak", "elm")
    assert "'dev' and 'val' both mean val" in refusal(tmp_path)


@pytest.mark.parametrize("names", [("test", "val"), ("Testing",), ("test", "oak", "elm")])
def test_held_out_photos_without_train_are_no_classes(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        small_photos.fill(tmp_path / name, "oak", "elm")
    told = refusal(tmp_path)
    assert names[0] in told
    assert "no train/: put the folders of the classes into train/" in told


def test_parts_of_unknown_names_are_no_classes(tmp_path: Path) -> None:
    for name in ("train2017", "val2017"):
        small_photos.fill(tmp_path / name, "oak", "elm")
    assert "'train2017', 'val2017' hold the same folders" in refusal(tmp_path)


def test_folders_within_a_class_are_of_the_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("trainer", "sandal"):
        small_photos.fill(tmp_path / name, name, "winter/snow")
    assert lengths(read(tmp_path)) == (8, None, None)
    assert "hold the same folders" not in capsys.readouterr().out


@pytest.mark.parametrize("root", [".", "train"])
def test_classes_within_other_folders_are_told(
    tmp_path: Path, root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for year in ("2023", "2024"):
        small_photos.fill(tmp_path / root / year, "boot", "sandal")
    small_photos.fill(tmp_path / root / "2024", "heel")
    assert read(tmp_path).classes == ["2023", "2024"]
    told = capsys.readouterr().out
    assert f"{tmp_path / root}: the classes are '2023', '2024', and all hold the same" in told
    assert "'boot', 'sandal': if those are the classes, put them in place of these" in told
    small_photos.save(tmp_path / root / "2023" / "one.png")
    read(tmp_path)
    assert "hold the same folders" not in capsys.readouterr().out


@pytest.mark.parametrize("inner", ["{}", "2024/{}", "{}/2024"])
def test_parts_within_classes_are_refused(tmp_path: Path, inner: str) -> None:
    for name in ("oak", "elm"):
        small_photos.fill(tmp_path / name, inner.format("train"), inner.format("Testing"))
    told = refusal(tmp_path)
    assert f"{tmp_path / 'elm'}: holds Testing and train, which would be mixed" in told
    assert "put these outermost, with the class folders in them" in told


def test_a_folder_called_like_a_part_may_lie_in_a_class(tmp_path: Path) -> None:
    small_photos.fill(tmp_path / "bus", "test", "street")
    small_photos.fill(tmp_path / "ship", "harbour")
    assert lengths(read(tmp_path)) == (6, None, None)


def test_train_may_be_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_photos.fill(tmp_path, "bus", "ship", "Train", count=3)
    assert read(tmp_path).classes == ["Train", "bus", "ship"]
    assert "is taken as a class" in capsys.readouterr().out


@pytest.mark.parametrize("flat", ["train", "test"])
def test_a_part_without_class_folders_is_refused(tmp_path: Path, flat: str) -> None:
    for name in {"train", "test"} - {flat}:
        small_photos.fill(tmp_path / name, "oak", "elm")
    small_photos.save(tmp_path / flat / "oak.1.png")
    assert f"{flat}: holds photos themselves, where a folder" in refusal(tmp_path)
    (tmp_path / flat / "oak.1.png").unlink()
    assert f"{flat}: holds no photos, where a folder" in refusal(tmp_path)


def test_one_folder_too_many_around_all(tmp_path: Path) -> None:
    small_photos.fill(tmp_path / "archive", "oak", "elm")
    assert "if 'archive' holds them, move them up" in refusal(tmp_path)


@pytest.mark.parametrize("content", [(), (".gitkeep",), ("Thumbs.db", "@eaDir/1.jpg")])
def test_an_empty_class_is_refused(tmp_path: Path, content: tuple[str, ...]) -> None:
    small_photos.fill(tmp_path, "oak", "elm")
    for name in ("ash", *(f"ash/{each}" for each in content)):
        (tmp_path / name).mkdir(parents=True)
    assert "class 'ash' has no image that can be trained on: its folder is empty" in refusal(
        tmp_path
    )


def test_of_many_empty_classes_a_few_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_photos.fill(tmp_path, "oak", "elm")
    for number in range(300):
        (tmp_path / f"z{number:03}").mkdir()
    told = refusal(tmp_path)
    assert "'z000'" in told
    assert "'z001', 'z002', 'z003', 'z004', 'z005' and 294 more" in told
    printed = capsys.readouterr().out
    assert "300 class folders are empty" in printed
    assert len(told + printed) < 500


def test_an_empty_class_of_another_part_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_photos.fill(tmp_path / "train", "oak", "elm")
    small_photos.fill(tmp_path / "test", "oak")
    (tmp_path / "test" / "elm").mkdir()
    assert lengths(read(tmp_path)) == (4, None, 2)
    assert "1 class folder is empty: test/elm" in capsys.readouterr().out


def test_a_part_of_bad_files_alone_is_refused(tmp_path: Path) -> None:
    small_photos.fill(tmp_path / "train", "oak", "elm")
    (tmp_path / "val" / "elm").mkdir(parents=True)
    (tmp_path / "val" / "elm" / "a.png").write_bytes(b"cut")
    with pytest.raises(DataError, match="none of the files in val can be used"):
        read(tmp_path, skip_bad=True)


def test_photos_in_no_class_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_photos.fill(tmp_path / "train", "oak", "elm")
    small_photos.save(tmp_path / "loose.png")
    small_photos.save(tmp_path / "train" / "lost.JPEG")
    (tmp_path / "README.txt").write_text("taken in May")
    told = refusal(tmp_path)
    assert "loose.png: lies in no class folder" in told
    assert "train/lost.JPEG: lies in no class folder" in told
    assert lengths(read(tmp_path, skip_bad=True)) == (4, None, None)
    assert "1 files in no class folder are not used: README.txt" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "label.csv", "labels.tsv", "labels.csv.txt", "Metadata.csv", "metadata.jsonl", "train.CSV",
        "labels.xlsx",
    ],
)  # fmt: skip
def test_a_list_that_is_not_read_is_refused(tmp_path: Path, name: str) -> None:
    small_photos.fill(tmp_path, "oak", "elm")
    (tmp_path / name).write_text("file,label\noak/0.png,oak\n")
    told = refusal(tmp_path)
    assert f"{tmp_path / name}: looks like a list of the photos and is not read: save it as" in told
    assert "labels.csv, with columns file and label, or move it out of the set" in told


def test_another_table_may_lie_beside_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "test"):
        small_photos.fill(tmp_path / part, "oak", "elm")
    (tmp_path / "trees.csv").write_text("path,kind\n")
    assert lengths(read(tmp_path)) == (4, None, 4)
    assert "1 files in no class folder are not used: trees.csv" in capsys.readouterr().out


def test_a_folder_that_is_called_like_a_list_is_no_class(tmp_path: Path) -> None:
    small_photos.fill(tmp_path, "oak", "elm", "labels.csv")
    assert "labels.csv: is a folder, called like a list of the photos: rename" in refusal(tmp_path)


@pytest.mark.parametrize("classes", [("oak", "elm"), ("",)])
def test_a_list_in_each_part_is_refused(tmp_path: Path, classes: tuple[str, ...]) -> None:
    for part in ("train", "test"):
        small_photos.fill(tmp_path / part, *classes)
        (tmp_path / part / "labels.csv").write_text("file,label\n0.png,oak\n")
    told = refusal(tmp_path)
    assert f"{tmp_path / 'test' / 'labels.csv'}: looks like a list of the photos" in told
    assert f"write one list of all parts, {tmp_path / 'labels.csv'}, with columns file" in told


@pytest.mark.parametrize(
    "folder", ["@eaDir/a.jpg", ".thumbnails/small", "#recycle", "__MACOSX/oak", "$RECYCLE.BIN"]
)
def test_what_systems_keep_is_no_photo(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small_photos.fill(tmp_path, "oak", "elm")
    for place in (tmp_path, tmp_path / "oak", tmp_path / "oak" / "old"):
        small_photos.save(place / folder / "a.png")
    assert lengths(read(tmp_path)) == (4, None, None)
    printed = capsys.readouterr().out
    assert "3 images are hidden" in printed
    assert f"oak/{folder.split('/')[0]}" in printed


def test_a_hidden_photo_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_photos.fill(tmp_path, "oak", "elm")
    (tmp_path / "oak" / "._0.png").write_bytes(b"of macOS")
    assert lengths(read(tmp_path)) == (4, None, None)
    assert "1 image is hidden" in capsys.readouterr().out


def test_classes_that_only_look_alike_are_refused(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "töpfer")
    small_photos.fill(tmp_path, composed, unicodedata.normalize("NFD", composed), "elm")
    assert "look the same, töpfer" in unicodedata.normalize("NFC", refusal(tmp_path))


def test_parts_from_other_systems_have_the_same_classes(tmp_path: Path) -> None:
    for part, form in (("train", "NFD"), ("test", "NFC")):
        names = [unicodedata.normalize(form, name) for name in ("café", "elm")]
        small_photos.fill(tmp_path / part, *names)
    assert read(tmp_path).classes == [unicodedata.normalize("NFC", "café"), "elm"]


@pytest.mark.parametrize("link", ["set", "set/oak", "set/train/oak", "set/elm/2024"])
def test_a_linked_folder_is_refused(tmp_path: Path, link: str) -> None:
    elsewhere = small_photos.fill(tmp_path / "disk", "a", "b")
    path = tmp_path / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(elsewhere)
    with pytest.raises(DataError) as refused:
        photos.prepare(tmp_path, make=False, source="set")
    assert f"{path}: is a link to the folder {elsewhere}" in str(refused.value)
    assert "put the folder itself in its place" in str(refused.value)


def test_a_linked_file_is_a_photo_and_a_broken_link_is_none(tmp_path: Path) -> None:
    small_photos.fill(tmp_path, "oak", "elm")
    (tmp_path / "oak" / "link.png").symlink_to(small_photos.save(tmp_path / ".cache" / "a.png"))
    assert lengths(read(tmp_path)) == (5, None, None)
    (tmp_path / "oak" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert "oak/gone.png: is no file, or a link to nothing" in refusal(tmp_path)
