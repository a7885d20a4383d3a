import io
import re
import sys
from pathlib import Path

import pytest
from training import test_checkpoints

from slimline.training import progress


@pytest.mark.parametrize(
    ("seconds", "left", "told"),
    [
        (0.5, 0, "40 images/s, 0 s left"),
        (0.5, 100, "40 images/s, 50 s left"),
        (2.0, 100, "10 images/s, 3 min 20 s left"),
        (2.0, 10_000, "10 images/s, 5 h 33 min left"),
    ],
)
def test_speed(seconds: float, left: int, told: str) -> None:
    assert progress.speed(seconds, 20, left=left) == told


def test_a_log_has_loss_accuracy_speed_and_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, done = test_checkpoints.fit(tmp_path)
    lines = [each for each in capsys.readouterr().out.splitlines() if ": step " in each]
    assert len(lines) == 10
    assert re.fullmatch(
        r"test: step 1 of 12: loss \d\.\d{3}, \d+ images/s, \d+ s left", lines[0]
    ), lines[0]
    last = done.rows[-1]
    assert lines[-1].startswith(
        f"test: step 12 of 12: loss {last.train_loss:.3f}, "
        f"validation {last.validation_top1:.2f} %, "
    ), lines[-1]
    assert lines[-1].endswith(" images/s, 0 s left")


def test_a_long_training_says_something_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LONGEST", 0)
    test_checkpoints.fit(tmp_path)
    assert capsys.readouterr().out.count(": step ") == test_checkpoints.STEPS


def test_a_terminal_has_images_per_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    test_checkpoints.fit(tmp_path)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    last = [each for each in shown.split("\r") if each.strip()][-1]
    assert re.search(r"240/240 .* images/s, loss \d\.\d{3}, validation ", last), last
