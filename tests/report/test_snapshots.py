import re
from pathlib import Path

import finished
import pytest

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "python -m pytest tests/report/test_snapshots.py --update-snapshots"

# What another version of matplotlib, Pillow or onnx may write otherwise; tests of their own look.
VOLATILE = {
    r"(<svg [^>]*>)<title>(.*?)</title>.*?</svg>": r"\1<title>\2</title></svg>",
    r"data:image/png;base64,[A-Za-z0-9+/=]+": "data:image/png;base64,",
    r"(?<=`model.onnx` has the SHA-256 `)[0-9a-f]{64}": "0" * 64,
}


@pytest.mark.parametrize("name", ["report.md", "report.html", "model_card.md"])
def test_it_reads_as_it_did(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    text = pinned(finished.run(finished.make(tmp_path / "toy"), monkeypatch)[name])
    path = SNAPSHOTS / name
    if request.config.getoption("--update-snapshots"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    expected = path.read_text(encoding="utf-8") if path.is_file() else ""
    assert text == expected, f"{name} reads otherwise; if that is meant, run `{UPDATE}`"


def pinned(text: str) -> str:
    for pattern, replacement in VOLATILE.items():
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return text
