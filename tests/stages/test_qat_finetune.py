from collections import Counter
from pathlib import Path

import pytest

from slimline.artifacts import model_folder
from slimline.errors import ArtifactError
from slimline.quantization import int8_export
from stages import int8_export as stage


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
        stage.main(tmp_path / "nothing", pipeline, tmp_path / "int8")
