from pathlib import Path
from typing import Any

import pytest

from benchmarks import million_images, prepared_photos


def test_splits_grow_with_the_set() -> None:
    """Near copies are looked for among judged photos times others."""
    assert million_images.share(4000) == 1000
    assert million_images.share(1_281_167) == 50_000


def test_steps_hold_out_what_they_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(prepared_photos, "prepare", lambda _, **settings: asked.append(settings))
    (tmp_path / "prepared").mkdir()
    million_images.prepare(tmp_path, 16, 7)
    million_images.prepare_and_compare(tmp_path, 16, 7)
    assert [each["held_out"] for each in asked] == [7, 7]
