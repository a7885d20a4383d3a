from pathlib import Path

import pytest
import toy

from slimline.errors import ParamsError, PretrainedError
from stages import validate_params

PRETRAINED = toy.ROOT / "data" / "raw" / "pretrained"


def test_the_marker_is_constant(tmp_path: Path) -> None:
    marker = tmp_path / "metrics" / "params.ok"
    validate_params.main(toy.ROOT / "params.yaml", PRETRAINED, marker)
    assert marker.read_text() == "ok\n"


def test_a_missing_section_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    text = (toy.ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text[: text.index("\nbenchmark:")])
    with pytest.raises(ParamsError, match="benchmark: is missing"):
        validate_params.main(tmp_path / "params.yaml", PRETRAINED, tmp_path / "params.ok")
    assert not (tmp_path / "params.ok").exists()


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    text = (toy.ROOT / "params.yaml").read_text()
    told = text.replace("pretrained: none", "pretrained: mine", 1)
    (tmp_path / "params.yaml").write_text(told)
    with pytest.raises(PretrainedError, match=r"pretrained: there is no folder .*mine"):
        validate_params.main(tmp_path / "params.yaml", PRETRAINED, tmp_path / "params.ok")
    loose = tmp_path / "pretrained"
    loose.mkdir()
    (loose / "mine.pth").touch()
    with pytest.raises(PretrainedError, match=r"mine\.pth must stand in a folder of its own"):
        validate_params.main(tmp_path / "params.yaml", loose, tmp_path / "params.ok")
    (loose / "mine").mkdir()
    (loose / "mine.pth").rename(loose / "mine" / "mine.pth")
    with pytest.raises(PretrainedError, match=r"mine\.pth: is empty"):
        validate_params.main(tmp_path / "params.yaml", loose, tmp_path / "params.ok")
