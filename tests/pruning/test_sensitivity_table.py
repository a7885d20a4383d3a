from pathlib import Path

import pytest

from slimline.errors import ParamsError
from slimline.pruning import sensitivity_table
from slimline.pruning.sensitivity_table import GroupSensitivity, SensitivityScan

ROWS = [
    GroupSensitivity("tough twin", 0.3, 89.9, 0.1, 3.0),
    GroupSensitivity("tough twin", 0.6, 89.0, 1.0, 30.0),
    GroupSensitivity("tender", 0.3, 88.0, 2.0, 0.2),
    GroupSensitivity("tender", 0.6, 70.0, 20.0, 2.0),
]


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    sensitivity_table.write(tmp_path / "scan.tsv", ROWS)
    assert sensitivity_table.read(tmp_path / "scan.tsv") == SensitivityScan(ROWS)
    sensitivity_table.write(tmp_path / "empty.tsv", [])
    assert (tmp_path / "empty.tsv").read_text() == "layers\tshare\ttop1\tlost\tlost_recall\n"
    assert sensitivity_table.read(tmp_path / "empty.tsv") == SensitivityScan([])


@pytest.mark.parametrize("mean", [0.0, 0.05, 0.2, 0.4, 0.59])
def test_shares_have_the_mean_asked_for_at_one_price(mean: float) -> None:
    tough, tender = SensitivityScan(ROWS).shares(["tough", "tender"], mean)
    assert (tough + tender) / 2 == pytest.approx(mean, abs=1e-6)
    assert tough >= tender


def test_a_layer_that_the_rare_classes_need_is_spared_where_mean_recall_selects() -> None:
    tough, tender = SensitivityScan(ROWS, "mean_recall").shares(["tough", "tender"], 0.3)
    assert tough < tender
    tough, tender = SensitivityScan(ROWS, "loss").shares(["tough", "tender"], 0.3)
    assert tough > tender, "points of a loss are those of top-1"


def test_more_takes_more_of_every_layer() -> None:
    found = [SensitivityScan(ROWS).shares(["tough", "tender"], mean) for mean in (0.1, 0.2, 0.4)]
    assert found == sorted(found)


def test_what_the_scan_does_not_reach_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"the scan reaches 0\.600 .*given 0\.700"):
        SensitivityScan(ROWS).shares(["tough", "tender"], 0.7)


def test_a_layer_that_was_not_scanned_is_named() -> None:
    with pytest.raises(ParamsError, match=r"auto needs layer other.*dvc repro sensitivity"):
        SensitivityScan(ROWS).shares(["other"], 0.1)
