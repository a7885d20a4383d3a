"""The page that `dvc plots` makes here and now, of the results in git: no cache is needed."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import toy
from ruamel.yaml import YAML


class Page(HTMLParser):
    """What a browser would run, and what it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.loaded: list[str] = []
        self._is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_script = tag == "script"
        self.loaded += [str(value) for key, value in attrs if key in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        self._is_script = self._is_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.scripts.append(data)


@pytest.mark.parametrize("command", [("show",), ("diff", "HEAD")])
def test_what_draws_the_plots_is_inside_the_page(tmp_path: Path, command: tuple[str, ...]) -> None:
    toy.dvc(toy.ROOT, "plots", *command, "--out", str(tmp_path / "plots"))
    page = Page()
    page.feed((tmp_path / "plots" / "index.html").read_text())
    assert page.loaded == []
    libraries, drawn = page.scripts[:3], page.scripts[3:]
    assert all(len(code) > 50_000 for code in libraries)
    plots = [
        next(iter(plot))
        for plot in YAML(typ="safe").load(toy.ROOT / "metrics" / "dvc.yaml")["plots"]
    ]
    assert [re.findall(r"vegaEmbed\('#(\w+)'", code) for code in drawn] == [
        [name] for name in plots
    ]


def test_the_page_is_of_the_versions_that_the_script_pins() -> None:
    page = (toy.ROOT / ".dvc" / "plots" / "offline.html").read_text()
    script = (toy.ROOT / "tools" / "offline_plots.py").read_text()
    pinned = re.findall(r'Package\(\s*"([\w-]+)",\s*"([\d.]+)"', script)
    assert re.findall(r"<!-- ([\w-]+)@([\d.]+)\n", page) == pinned
    assert page.count("Redistribution and use in source and binary forms") == len(pinned) == 3
