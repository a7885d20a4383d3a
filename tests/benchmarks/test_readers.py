from pathlib import Path

import pytest

from benchmarks import readers


def test_a_folder_is_of_this_very_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MODELS", tmp_path)
    (tmp_path / "qat_finetune").mkdir()
    names = set()
    for content in ("{}", '{"a": 1}', "{}"):
        (tmp_path / "qat_finetune" / "model.json").write_text(content)
        names.add(readers.hash_sources(readers.PRODUCT))
    assert len(names) == 2
    assert readers.hash_sources("resnet18") not in names
