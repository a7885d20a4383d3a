"""Class names are a user's folder names: whatever is in them must come out harmless."""

from html.parser import HTMLParser
from pathlib import Path

import finished
import pytest
import repository

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "a | b\n\n# heading",
    "x" * 10_000,
    "\u202eevil\u2066",
    "שלום",
    "@octocat",
    "{{ 7 * 7 }}",
    "```\n---",
    "\x00\x1b[31m",
]


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return finished.run(finished.make(tmp_path / "toy", HOSTILE), monkeypatch)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def tags(text: str) -> Tags:
    found = Tags()
    found.feed(text)
    return found


def test_the_page_has_no_more_elements_than_with_tame_names(
    documents: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tame = tags(finished.run(finished.make(tmp_path / "tame"), monkeypatch)["report.html"])
    hostile = tags(documents["report.html"])
    assert hostile.names == tame.names
    assert hostile.attributes == tame.attributes
    assert "script" not in hostile.names


@pytest.mark.parametrize("name", ["report.md", "report.html", "model_card.md"])
def test_nothing_is_long_or_turns_the_text(documents: dict[str, str], name: str) -> None:
    text = documents[name]
    assert "x" * 150 in text
    assert "x" * 250 not in text
    assert not {"\u202e", "\u2066", "\x00", "\x1b"} & set(text)
    assert "שלום" in text
    assert "<script>" not in text
    assert "onerror=alert(2)>" not in text
    assert "7 * 7" in text.replace("\\", "")


@pytest.mark.parametrize("name", ["report.md", "model_card.md"])
def test_markdown_keeps_its_tables(documents: dict[str, str], name: str) -> None:
    text = documents[name]
    lines = text.splitlines()
    assert not any(line.startswith("# heading") for line in lines)
    assert "a \\| b \\# heading" in text
    assert "@octocat" not in text
    assert text.count("\n```") == (0 if name == "report.md" else 12)


def test_there_are_as_many_classes_as_before(documents: dict[str, str]) -> None:
    assert documents["report.html"].count('<td class="name">') == len(repository.CLASSES)
