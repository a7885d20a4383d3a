from pathlib import Path

import pytest

from slimline import files
from slimline.artifacts import description
from slimline.errors import ArtifactError


@pytest.mark.parametrize("named", [{}, {"file": "other.pte"}, {"file": None}])
def test_a_file_of_another_target_must_be_named(tmp_path: Path, named: dict[str, object]) -> None:
    files.write_json(tmp_path / "model.json", {"target": "executorch"} | named)
    (tmp_path / "model.pte").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"does not name model\.pte as its 'file'; `dvc"):
        description.deployable(tmp_path)


def test_a_description_that_is_no_json_differs(tmp_path: Path) -> None:
    files.write_text(tmp_path / "model.json", '{"format": 1,')
    (told,) = description.differing(tmp_path)
    assert "is no JSON" in told
