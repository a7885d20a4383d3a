import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import finished
import matplotlib
import pytest
import repository
import toy
from repository import VARIANTS
from ruamel.yaml import YAML

from slimline import files

SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return finished.run(finished.make(tmp_path / "toy"), monkeypatch)["report.html"]


def test_each_drawing_tells_what_it_shows(page: str) -> None:
    drawings = SVG.findall(page)
    assert len(drawings) == 8
    assert all(
        re.match(r'<svg viewBox="[^"]*" role="img"><title>.{40,}?</title>', each)
        for each in drawings
    )


def test_colours_and_fonts_are_those_of_the_page(page: str) -> None:
    for drawing in SVG.findall(page):
        assert not re.findall(r"#[0-9a-f]{6}\b", drawing)
        assert "font-family" not in drawing
        assert "font:" not in drawing
        used = set(re.findall(r"var\((--\w+)\)", drawing))
        assert used
        assert all(f"{name}:" in page for name in used)


def test_it_opens_offline_and_is_small(page: str) -> None:
    assert "http" not in page
    assert "<script" not in page
    assert len(page.encode()) < 300 * 1024


def test_a_thousand_classes_are_no_heavy_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = [f"{index} {'long ' * 50}" for index in range(1000)]
    page = finished.run(finished.make(tmp_path / "many", classes), monkeypatch)["report.html"]
    assert "And 700 more, which changed less." in page
    assert len(page.encode()) < 300 * 1024


def test_what_is_missing_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was trained or pruned, every answer is right, and there are too few blocks."""
    folder = finished.make(tmp_path / "bare")
    for path in (folder / "models").glob("*/history.tsv"):
        path.write_text(path.read_text().splitlines(keepends=True)[0])
    described = folder / "models" / "prune" / "model.json"
    content = files.read_json(described)
    files.write_json(described, content | {"rounds": content["rounds"][:1]})
    answers = folder / "metrics" / "predictions"
    for name in VARIANTS:
        (answers / f"{name}.txt").write_text((answers / "labels.txt").read_text())
        repository.write_top1(folder, name)
    blocks = folder / "metrics" / "benchmark" / "blocks.tsv"
    blocks.write_text("".join(blocks.read_text().splitlines(keepends=True)[:4]))
    documents = finished.run(folder, monkeypatch)
    assert len(SVG.findall(documents["report.html"])) == 7
    assert "nan" not in documents["report.html"]
    assert "100.00 %" in documents["model_card.md"]


def test_a_users_matplotlibrc_changes_nothing(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with matplotlib.rc_context({"axes.facecolor": "red", "svg.fonttype": "path", "font.size": 30}):
        again = finished.run(finished.make(tmp_path / "again"), monkeypatch)["report.html"]
    assert again == page


def test_what_a_pull_request_runs_needs_no_matplotlib() -> None:
    code = (
        "import sys, stages.evaluate, slimline.report.render, slimline.report.comparison;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=toy.ROOT, check=False).returncode == 0


@pytest.mark.parametrize("count", [4, 7])
def test_any_number_of_variants_is_drawn(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "more")
    declared = YAML(typ="safe", pure=True).load(toy.ROOT / "variants.yaml")
    kept = dict(list(declared["variants"].items())[:4])
    if count == 7:
        kept = declared["variants"] | {"int8_more": {"role": "comparator", "parent": "prune"}}
        for path in [*folder.rglob("int8_ptq.*"), folder / "models" / "int8_ptq"]:
            more = path.with_name(path.name.replace("int8_ptq", "int8_more"))
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, more)
        blocks = folder / "metrics" / "benchmark" / "blocks.tsv"
        head, *rows = blocks.read_text().splitlines()
        more_rows = [f"{head}\tint8_more", *(f"{row}\t{row.split()[-1]}" for row in rows)]
        blocks.write_text("\n".join(more_rows) + "\n")
    (tmp_path / "variants.yaml").write_text(json.dumps({"variants": kept}))  # YAML as well
    documents = finished.run(folder, monkeypatch, tmp_path / "variants.yaml")
    assert len(SVG.findall(documents["report.html"])) >= 7
    assert ("int8_more" in documents["report.md"]) == (count == 7)
