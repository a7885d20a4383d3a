"""Latency by the table in git: what it says of a pruned model, and what it does not know."""

import json
from pathlib import Path

import pytest

from slimline.pruning.record import LayerChange
from slimline.search import latency
from slimline.search.latency import LatencyError

LAYERS = {"conv1": [[100, 1.0], [200, 3.0]], "fc": [[10, 0.5], [20, 0.7]]}
REST = [[110, 4.0], [220, 6.0]]


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    latency.TABLE.parent.mkdir()
    latency.TABLE.write_text(json.dumps({"cpu": "any", "layers": LAYERS, "rest": REST}))
    return tmp_path / latency.TABLE


def change(layer: str, before: int, after: int) -> LayerChange:
    channels, params, zeros = (8, 4), (80, 40), (0, 0)
    return LayerChange(layer, *channels, *params, before, after, *zeros)


def test_a_time_is_the_sum_over_layers_at_their_widths_and_of_the_rest() -> None:
    whole = [change("conv1", 200, 200), change("fc", 20, 20)]
    assert latency.milliseconds(whole) == pytest.approx((3.0 + 0.7 + 6.0) / 1000)
    narrow = [change("conv1", 200, 150), change("fc", 20, 10)]
    rest = 4.0 + 2.0 * (160 - 110) / 110
    assert latency.milliseconds(narrow) == pytest.approx((2.0 + 0.5 + rest) / 1000)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (change("conv9", 200, 100), "does not have layer conv9 of 200 multiply-accumulates"),
        (change("conv1", 400, 100), "does not have layer conv1 of 400 multiply-accumulates"),
    ],
)
def test_another_network_than_the_tables_is_a_sentence(wrong: LayerChange, told: str) -> None:
    with pytest.raises(LatencyError, match=told) as refused:
        latency.milliseconds([wrong])
    assert "python -m benchmarks.layer_times" in str(refused.value)
    assert "prune.target" not in str(refused.value)


def test_without_a_table_nothing_begins(table: Path) -> None:
    table.unlink()
    with pytest.raises(LatencyError, match=r"data/layer_times.json is missing"):
        latency.check()


def test_before_images_are_prepared_the_table_is_believed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    latency.check()
    assert "was measured on any, this is" in capsys.readouterr().out
