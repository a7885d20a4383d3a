"""The README and the guides in docs/, as tests read them: their code blocks and links."""

import re
import shlex
from pathlib import Path

import toy

_NOT_GUIDES = ("architecture.md", "experiments.md")
GUIDES = [
    toy.ROOT / "README.md",
    *sorted(path for path in (toy.ROOT / "docs").glob("*.md") if path.name not in _NOT_GUIDES),
]


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a language."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def lines(path: Path) -> list[str]:
    """Return the command lines, without their prompts."""
    found = [line for block in blocks(path, "console") for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in found), f"{path.name}: a block is of commands only"
    return [line.removeprefix("$ ") for line in found]


def commands(path: Path) -> list[list[str]]:
    """Return the words of each command; a line may have several."""
    words = [shlex.split(line, comments=True) for line in lines(path)]
    return [part for line in words for part in _split(line)]


def _split(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts
