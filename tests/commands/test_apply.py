import difflib
import shutil
from pathlib import Path

import pytest
import toy
from ruamel.yaml import YAML

from slimline import params, schema
from slimline.__main__ import main
from slimline.errors import ParamsError

EXAMPLES = sorted((toy.ROOT / "examples").glob("*.params.yaml"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(toy.ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines() -> list[str]:
    return Path("params.yaml").read_text().splitlines()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_each_example_is_valid_and_says_what_differs(path: Path) -> None:
    given, before = params.flat(params.read(path)), params.flat(params.read(Path("params.yaml")))
    unchanged = [key for key in given if key in before and given[key] == before[key]]
    assert unchanged == [], "an example leaves out what is so by default"
    assert main(["apply", str(path)]) == 0
    merged = params.flat(params.read(Path("params.yaml")))
    assert merged == before | given
    schema.check(Path("params.yaml"))


def test_a_wrong_value_can_be_mended(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("image_size: 28", "image_size: 5000"))
    with pytest.raises(ParamsError):
        schema.check(path)
    assert main(["apply", "data.image_size=96"]) == 0
    assert capsys.readouterr().out == "data.image_size: 5000 -> 96\n"
    schema.check(path)


def test_a_folder_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "."]) == 2
    assert capsys.readouterr().err == ".: cannot be read: Is a directory\n"


def test_there_is_an_example_for_photos() -> None:
    assert "photos.params.yaml" in [path.name for path in EXAMPLES]


def test_only_the_lines_of_changed_values_change(capsys: pytest.CaptureFixture[str]) -> None:
    before = lines()
    Path("mine.yaml").write_text("training: {augment: {flip: true}}\ndata:\n  test_images: 500\n")
    assert main(["apply", "mine.yaml", "data.source=my shoes".replace(" ", "_")]) == 0
    changed = [(old, new) for old, new in zip(before, lines(), strict=True) if old != new]
    assert [new.partition("  #")[0] for _, new in changed] == [
        "  source: my_shoes",
        "  test_images: 500",
        "    flip: true",
    ]
    assert [old.partition("  #")[2] for old, _ in changed] == [
        new.partition("  #")[2] for _, new in changed
    ], "comments stay, two spaces behind the values"
    assert capsys.readouterr().out.splitlines() == [
        "data.source: fashion_mnist -> my_shoes",
        "data.test_images: 0 -> 500",
        "training.augment.flip: false -> true",
    ]


def test_a_new_key_leaves_all_comments_where_they_were() -> None:
    before = lines()
    changes = ["prune.recover.augment.flip=true", "backbone_swap.frozen.optimizer=sgd"]
    assert main(["apply", *changes, "prune.layers={conv1: 0.1}"]) == 0
    now = lines()
    added = [line for line in difflib.ndiff(before, now) if line[0] in "+-"]
    assert added == [
        "+     optimizer: sgd",
        "-   layers: {}",
        "+   layers: {conv1: 0.1}",
        "+     augment:",
        "+       flip: true",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("prune.treshold=0.2", "prune.treshold: is no setting that Slimline knows (given 0.2)"),
        ("data.crop=3", "data.crop: should be less than or equal to 1 (given 3)"),
        ("prune.rates=auto", "prune.rates: auto needs a scan"),
        ("data.crop={", "data.crop={: is not valid YAML"),
        ("mine.yaml", "mine.yaml: the file is missing"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(
    folder: Path, change: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lines()
    assert main(["apply", "seed=2", change]) == 2
    assert told in capsys.readouterr().err
    assert lines() == before
    assert [path.name for path in folder.iterdir()] == ["params.yaml"]


def test_a_mapping_can_be_emptied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "prune.layers={fc: 0, conv1: 0.5}"]) == 0
    assert main(["apply", "prune.layers={}"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "prune.layers.fc: 0, taken out",
        "prune.layers.conv1: 0.5, taken out",
    ]
    assert YAML(typ="safe", pure=True).load(Path("params.yaml"))["prune"]["layers"] == {}
