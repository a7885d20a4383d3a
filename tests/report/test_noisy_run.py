from pathlib import Path

import finished
import pytest
from repository import State


@pytest.mark.parametrize("is_noisy", [True, False])
def test_a_noisy_run_is_called_noisy(
    is_noisy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = finished.make(tmp_path / "toy", state=State(is_noisy=is_noisy))
    told = finished.run(made, monkeypatch)
    for name in ("report.md", "report.html"):
        text = " ".join(told[name].split())
        assert ("The machine was noisy while latency was measured" in text) == is_noisy
        noise, others = ("4.1", "37") if is_noisy else ("1.6", "3")
        assert f"40 turns of each: every speedup is known within ±{noise} %." in text
        assert f"load 0.40 before and 1.10 after, other processes used {others} % of the" in text
