import re
import subprocess
import sys
from pathlib import Path

import finished
import matplotlib
import pytest
import toy

SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return finished.run(finished.make(tmp_path / "toy"), monkeypatch)["report.html"]


def test_each_drawing_tells_what_it_shows(page: str) -> None:
    drawings = SVG.findall(page)
    assert len(drawings) == 6
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
