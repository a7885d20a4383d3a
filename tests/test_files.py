from pathlib import Path

import pytest

from slimline import files


def test_json_diffs_cleanly(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": 0.1 + 0.2, "a": [1, 2.0]})
    assert (tmp_path / "a.json").read_text() == (
        '{\n  "a": [\n    1,\n    2.0\n  ],\n  "b": 0.3\n}\n'
    )


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (0.000012345678, "1.23457e-05"),
        (0.00003, "3e-05"),
        (0.123456789, "0.123457"),
        (12345.123456789, "12345.123457"),
        (0.1 + 0.2 - 0.3, "0.0"),
        (-0.00123456789, "-0.00123457"),
    ],
)
def test_small_figures_keep_digits_and_noise_does_not(
    given: float, written: str, tmp_path: Path
) -> None:
    files.write_table(tmp_path / "a.tsv", [{"value": given}])
    assert (tmp_path / "a.tsv").read_text() == f"value\n{written}\n"


def test_tsv_has_a_header(tmp_path: Path) -> None:
    files.write_table(tmp_path / "a.tsv", [{"step": 1, "loss": 0.25}, {"step": 2, "loss": 0.125}])
    assert (tmp_path / "a.tsv").read_text() == "step\tloss\n1\t0.25\n2\t0.125\n"


def test_a_folder_is_replaced_at_once(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    stale = tmp_path / ".model.partial"
    stale.mkdir()
    (stale / "rubbish").touch()
    with files.replacing(target) as folder:
        (folder / "new").touch()
        assert (target / "old").exists()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(OSError, match="disk"), files.replacing(target):
        raise OSError("disk full")
    assert [path.name for path in target.iterdir()] == ["old"]
