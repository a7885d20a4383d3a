import unicodedata
from pathlib import Path

import photos
import pytest
import small_photos

from slimline.data import lists
from slimline.data.raw_set import RawSet
from slimline.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos in no order that says anything."""
    for number in range(6):
        small_photos.save(tmp_path / "set" / f"camera {number % 2}" / f"{number}.png")
    return tmp_path / "set"


def write(folder: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> None:
    (folder / name).write_text(text, encoding=encoding)


def rows(*columns: str) -> str:
    """Return a list of the six photos, two of three classes each."""
    lines = [",".join(("file", "label", *columns))]
    for number in range(6):
        parts = {"split": "train", "group": f"g{number // 2}"}
        more = [parts[name] for name in columns]
        lines.append(",".join((f"camera {number % 2}/{number}.png", "ask"[number % 3], *more)))
    return "\n".join(lines) + "\n"


def read(folder: Path, *, skip_bad: bool = False) -> RawSet:
    return lists.read(folder, lists.find(folder), size=16, crop=1, skip_bad=skip_bad)


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as refused:
        read(folder)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def labels_by_name(found: RawSet) -> dict[str, str]:
    return {
        Path(file.name).name: found.classes[label]
        for file, label in zip(found.train.images.files, found.train.labels, strict=True)
    }


def test_a_list_says_the_class_of_each_file(folder: Path) -> None:
    write(folder, rows())
    found = read(folder)
    assert found.classes == ["a", "k", "s"]
    assert labels_by_name(found) == {f"{number}.png": "ask"[number % 3] for number in range(6)}
    assert found.train.groups is None
    assert (found.validation, found.test) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("file,label", ' File, "Label"'.replace(' "', '"')),
        lambda text: text.replace("camera 0/", ".\\camera 0\\"),
        lambda text: text.replace("camera 0/0.png", '"camera 0/0.png"') + "\n\n",
    ],
)
def test_as_spreadsheets_write_it(folder: Path, change: object) -> None:
    write(folder, change(rows()))  # type: ignore[operator]
    assert len(read(folder).train) == 6


def test_a_list_may_say_the_split(folder: Path) -> None:
    text = rows("split").splitlines()
    for line, part in ((1, "Testing"), (2, "dev"), (3, "TEST")):
        text[line] = text[line].replace("train", part)
    write(folder, "\n".join([*text[:3], text[3].replace(",s,", ",a,"), *text[4:]]))
    found = read(folder)
    assert len(found.train) == 3
    assert (len(found.validation or []), len(found.test or [])) == (1, 2)


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv"])
@pytest.mark.parametrize("where", ["{}", "archive/{}/x", "camera/{}"])
def test_files_in_folders_of_parts_need_a_split(tmp_path: Path, name: str, where: str) -> None:
    files = [
        f"{where.format(part)}/{number}.png" for part in ("Training", "test") for number in "12"
    ]
    for file in files:
        small_photos.save(tmp_path / file)
    first = "file" if name == "labels.csv" else "file_name"
    lines = [f"{file},{'ab'[number % 2]}" for number, file in enumerate(files)]
    write(tmp_path, "\n".join([f"{first},label", *lines]), name)
    told = refusal(tmp_path)
    assert f"{name}: has no column split, but its files lie in folders Training and test" in told
    write(tmp_path, "\n".join([f"{first},label,split", *(f"{each},train" for each in lines)]), name)
    assert len(read(tmp_path).train) == 4


def test_a_single_folder_that_is_called_like_a_part_needs_no_split(folder: Path) -> None:
    (folder / "camera 0").rename(folder / "train")
    write(folder, rows().replace("camera 0", "train"))
    assert len(read(folder).train) == 6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("file,label", "name,label", "unknown column 'name': its first line must name"),
        ("file,label", "file,label,age", "unknown column 'age'"),
        ("file,label", "file,group", "no column 'label'"),
        ("file,label", "file,label,label", "two columns 'label': keep one"),
        ("camera 1/1.png", "camera 0/0.png", "line 3: 'camera 0/0.png' is listed again, after"),
        ("camera 1/1.png", "x/../camera 0//0.png", "is listed again"),
        ("camera 1/1.png", "../1.png", "lies outside of the set"),
        ("camera 1/1.png", "/1.png", "lies outside of the set"),
        ("1.png,s", "1.png,", "line 3: label is empty"),
        ("camera 1/1.png,", ",", "line 3: file is empty"),
        ("1.png,s", "1.png,s,t", "line 3: has 3 fields, the first line has 2"),
        ("1.png,s", '1.png,"s', "is no CSV"),
        ("1.png,s", "1.png,s\x1b[0m", "needs a printable name"),
    ],
)
def test_mistakes_are_one_sentence(folder: Path, old: str, new: str, told: str) -> None:
    write(folder, rows().replace(old, new, 1))
    found = refusal(folder)
    assert told in found
    assert found.isprintable()


def test_a_split_that_is_none(folder: Path) -> None:
    write(folder, rows("split").replace("train", "holdout", 1))
    assert "line 2: split is 'holdout', and must be train (or training), val" in refusal(folder)


def test_a_class_that_train_does_not_have(folder: Path) -> None:
    write(folder, rows("split").replace(",a,train", ",z,test", 1))
    assert "line 2: train has no class 'z', which test has" in refusal(folder)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding(folder: Path, encoding: str) -> None:
    write(folder, rows().replace(",k", ",kä"), encoding=encoding)
    assert "labels.csv: is not UTF-8" in refusal(folder)


def test_an_empty_list(folder: Path) -> None:
    write(folder, "")
    assert "no column 'file'" in refusal(folder)
    write(folder, "file,label\n")
    assert "two or more classes" in refusal(folder)


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv"])
def test_a_first_line_that_is_none(folder: Path, name: str) -> None:
    write(folder, "x" * 200_000, name)
    assert f"{name}: line 1: is no CSV: field larger than field limit" in refusal(folder)


def test_what_is_listed_and_what_is_there_differ(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, rows() + "camera 1/9.png,a\n")
    small_photos.save(folder / "camera 2" / "new.png")
    small_photos.save(folder / "camera 2" / "@eaDir" / "new.png")
    (folder / "notes.txt").write_text("in May")
    with pytest.raises(DataError) as refused:
        read(folder)
    told = str(refused.value)
    assert "2 files cannot be used" in told
    assert "camera 1/9.png: is not beside the list, though " in told
    assert "labels.csv: line 8 names it" in told
    assert "camera 2/new.png: is not listed in labels.csv" in told
    assert len(read(folder, skip_bad=True).train) == 6
    assert "1 files are not listed and not used: notes.txt" in capsys.readouterr().out


def test_what_is_listed_and_never_used(folder: Path) -> None:
    others = (
        "camera 1",
        ".cache/z.png",
        "camera 0/@eaDir/0.png",
        "labels.csv",
        "x\0.png",
        "y" * 300,
    )
    for name in others[1:3]:
        small_photos.save(folder / name)
    write(folder, rows() + "".join(f"{name},a\n" for name in others))
    with pytest.raises(DataError) as refused:
        read(folder)
    told = str(refused.value)
    assert "camera 1: is a folder, though " in told
    assert ".cache/z.png: is hidden, or a system's, and never used, though " in told
    assert "camera 0/@eaDir/0.png: is hidden, or a system's, and never used, though " in told
    assert "labels.csv: is a list itself, though " in told
    assert told.count(" is not beside the list, though ") == 2


def test_a_class_none_of_whose_files_is_there(folder: Path) -> None:
    write(folder, rows() + "gone.png,z\n")
    with pytest.raises(DataError, match=r"class 'z' .*: none of its listed files is there; add"):
        read(folder, skip_bad=True)


def test_names_as_another_system_composes_them(folder: Path) -> None:
    (folder / "camera 0" / "0.png").rename(folder / unicodedata.normalize("NFD", "é.png"))
    text = rows().replace("camera 0/0.png", unicodedata.normalize("NFC", "é.png"))
    write(folder, text)
    assert len(read(folder).train) == 6


def test_groups_are_numbered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, rows("group").replace(",g2", ","))
    found = read(folder)
    names = [Path(file.name).name for file in found.train.images.files]
    groups = dict(zip(names, found.train.groups.tolist(), strict=True))  # type: ignore[union-attr]
    assert groups["0.png"] == groups["1.png"] != groups["2.png"] == groups["3.png"]
    assert len(set(groups.values())) == 4
    assert "2 images have no group, and stand each alone" in capsys.readouterr().out


def test_a_group_in_two_parts_is_a_leak(folder: Path) -> None:
    write(folder, rows("split", "group").replace("train,g1", "test,g1", 1))
    told = refusal(folder)
    assert "group 'g1' is in train, and in test by" in told
    assert "put all of it into one" in told


def test_metadata_as_hugging_face_has_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = rows().replace("file,label", "file_name,label").splitlines()
    write(
        folder,
        "\n".join([f"{lines[0]},text", *(f"{each},red" for each in lines[1:])]),
        "metadata.csv",
    )
    assert len(read(folder).train) == 6
    assert "columns that are not used: 'text'" in capsys.readouterr().out


def test_metadata_in_each_part(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("validation", 2)):
        names = [f"{number}.png" for number in range(count)]
        for name in names:
            small_photos.save(tmp_path / part / name)
        listed = [f"{name},{'ab'[number % 2]}" for number, name in enumerate(names)]
        write(tmp_path / part, "\n".join(["file_name,label", *listed]), "metadata.csv")
    found = read(tmp_path)
    assert (len(found.train), len(found.validation or []), found.test) == (4, 2, None)


def test_captions_alone_are_no_labels(tmp_path: Path) -> None:
    small_photos.fill(tmp_path, "oak", "elm")
    write(tmp_path, "file_name,text\noak/0.png,a tree\n", "metadata.csv")
    assert lists.find(tmp_path) == []
    with pytest.raises(DataError, match="does not name the columns file_name and label: name them"):
        lists.refuse_unread(tmp_path)


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv", "train/metadata.csv"])
def test_a_list_that_is_a_link_to_nothing(tmp_path: Path, name: str) -> None:
    small_photos.fill(tmp_path / "train", "oak", "elm")
    (tmp_path / name).symlink_to(tmp_path / "gone.csv")
    assert f"{tmp_path / name}: is a link to nothing: put the list itself in its" in refusal(
        tmp_path
    )


def test_thousands_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["file,label"]
    for number in range(3000):
        small_photos.save(tmp_path / "set" / f"{number % 7}" / f"{number}.png", (3, 3))
        lines.append(f"{number % 7}/{number}.png,c{number // 2}")
    write(tmp_path / "set", "\n".join(lines))
    counts = {"validation_images": 500, "calibration_images": 100, "test_images": 500}
    parts = photos.prepare(tmp_path, make=False, source="set", image_size=8, **counts)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 1900,
        "calibration": 100,
        "validation": 500,
        "test": 500,
    }
    assert len(set(parts["train"].labels.tolist())) == 1500
    assert max(map(len, capsys.readouterr().out.splitlines())) < 300
