import shutil
from collections import Counter
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import toy

from slimline.artifacts import model_folder
from slimline.errors import ArtifactError
from slimline.quantization import int8_export
from stages import int8_export as stage
from stages import qat_finetune


def test_it_is_no_deployable_model(pipeline: Path) -> None:
    folder = pipeline / "models" / "qat_finetune"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.tsv",
        "model.json",
        "weights.safetensors",
    ]


def test_channels_that_were_cut_stay_cut(pipeline: Path) -> None:
    pruned = model_folder.load(pipeline / "models" / "prune").network
    prepared = int8_export.load_prepared(pipeline / "models" / "qat_finetune").network
    shapes = [
        Counter(tuple(weight.shape) for weight in network.parameters() if weight.dim() == 4)
        for network in (pruned, prepared)
    ]
    assert shapes[0] == shapes[1]
    assert shapes[0].total() > 50


def test_a_float_model_is_no_input_of_the_export(pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such folder"):
        stage.main(tmp_path / "nothing", pipeline, pipeline, tmp_path / "int8")


def test_its_description_has_the_precision_that_it_trains_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(toy.ROOT / "params.yaml", tmp_path)
    toy.set_params(tmp_path, {"training.step.precision": "bfloat16"})
    monkeypatch.chdir(tmp_path)
    for name in (
        "MixedTables", "checkpoints", "determinism", "int8_sensitivity_table", "int8_times",
        "mixed_precision", "mixed_record", "processes", "split_files", "description",
    ):  # fmt: skip
        monkeypatch.setattr(qat_finetune, name, MagicMock())
    folders = MagicMock()
    monkeypatch.setattr(qat_finetune, "model_folder", folders)
    monkeypatch.setattr(qat_finetune.qat, "finetune", lambda *_, **__: (MagicMock(), MagicMock()))
    qat_finetune.main(*[Path(str(number)) for number in range(7)])
    assert folders.save.call_args.kwargs["settings"].recipe.step.precision == "float32"
