import time
from pathlib import Path

import pytest

from benchmarks import zoo, zoo_page
from slimline.errors import NetworkError

NAMES = ("torchvision:resnet18", "torchvision:vit_b_16", "timm:mixnet_s")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "TABLE", tmp_path / "zoo.tsv")
    monkeypatch.setattr(zoo, "PAGE", tmp_path / "zoo.md")
    for name in NAMES:
        assert name in zoo.NAMES


def refuse(seen: zoo.Examination) -> zoo.Row:
    raise NetworkError(f"{seen.name}: cannot\n\tbe | built")


def cut(seen: zoo.Examination) -> zoo.Row:
    return {"prune": "yes", "px": "64", "macs_left": "68.5", "whole": str(len(seen.name))}


def crash(_: zoo.Examination) -> zoo.Row:
    raise SystemExit(3)


def wait(_: zoo.Examination) -> zoo.Row:
    time.sleep(60)
    return {}


def test_each_network_has_a_process_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    for parts in ({"prune": cut}, {"prune": refuse}, {"prune": crash}):
        name = NAMES[len(zoo.read())]
        monkeypatch.setattr(zoo, "PARTS", parts)
        zoo.run(["prune"], [name], limit=30, again=False)
    rows = zoo.read()
    assert list(rows) == [*NAMES]
    assert [rows[name]["prune"] for name in NAMES] == [
        "yes",
        "torchvision:vit_b_16: cannot be | built",
        "its process ended with exit code 3",
    ]
    lines = zoo.PAGE.read_text().splitlines()
    assert (
        "| torchvision's convolutional classifiers | 68 | 1 of 1 | 0 of 0 | 0 of 0 | 68 |" in lines
    )
    assert sum(each.startswith("| `") for each in lines) == len(zoo.NAMES) + 3, "and three heads"
    (line,) = (each for each in lines if each.startswith("| `torchvision:resnet18`"))
    assert line.startswith("| `torchvision:resnet18` | 64 |  |  | 68.5 (20 whole) | yes |")
    assert line.count(zoo_page.NOT_RUN) == 6
    assert any("cannot be \\| built" in each for each in lines)


def test_a_run_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "PARTS", {"prune": cut})
    zoo.run(["prune"], NAMES[:1], limit=30, again=False)
    monkeypatch.setattr(zoo, "PARTS", {"prune": refuse})
    zoo.run(["prune"], NAMES[:2], limit=30, again=False)
    rows = zoo.read()
    assert [rows[name]["prune"] == "yes" for name in NAMES[:2]] == [True, False]
    zoo.run(["prune"], NAMES[:1], limit=30, again=True)
    assert zoo.read()[NAMES[0]] == dict.fromkeys(zoo_page.COLUMNS, "") | {
        "name": NAMES[0],
        "prune": f"{NAMES[0]}: cannot be | built",
    }


def test_times_are_told_with_their_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"times": "yes", "faster": "2.00", "static": "yes", "cpu": "Abacus (beads)"}
    monkeypatch.setattr(zoo, "PARTS", {"times": lambda _: ours})
    zoo.run(["times"], NAMES[:2], limit=30, again=False)
    monkeypatch.setattr(zoo, "PARTS", {"times": lambda _: ours | {"cpu": ""}})
    zoo.run(["times"], NAMES[2:], limit=30, again=False)
    end = zoo.PAGE.read_text().rpartition("## Processors")[2]
    assert "| Abacus (beads) | 2 |" in end
    assert f"| {zoo_page.NOT_RECORDED} | 1 |" in end


def test_what_ends_or_takes_too_long_is_told_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = {"prune": cut, "int8": crash, "times": wait, "peer": refuse}
    monkeypatch.setattr(zoo, "PARTS", parts)
    found = dict(zoo.look(NAMES[0], [*parts], 1))
    assert found["prune"]["prune"] == "yes"
    assert found["int8"] == {"int8": "its process ended with exit code 3"}
    assert found["times"] == {"times": "not done in 1 s"}
    assert found["peer"] == {"peer": f"{NAMES[0]}: cannot\n\tbe | built"}


def test_parts_take_what_the_ones_before_them_found(tmp_path: Path) -> None:
    seen = zoo.Examination("torchvision:resnet18", tmp_path)
    built = seen.up_to("builds")
    assert [*built] == ["builds"]
    assert built["builds"].figures["px"] == 64
    assert seen.up_to("builds")["builds"] is built["builds"], "nothing is done twice"
