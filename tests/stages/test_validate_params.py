from pathlib import Path

import pytest
import toy

from slimline.errors import ParamsError
from stages import validate_params


def test_the_marker_is_constant(tmp_path: Path) -> None:
    marker = tmp_path / "metrics" / "params.ok"
    validate_params.main(toy.ROOT / "params.yaml", marker)
    assert marker.read_text() == "ok\n"


def test_a_missing_section_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    text = (toy.ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text[: text.index("\nbenchmark:")])
    with pytest.raises(ParamsError, match="benchmark: is missing"):
        validate_params.main(tmp_path / "params.yaml", tmp_path / "params.ok")
    assert not (tmp_path / "params.ok").exists()
