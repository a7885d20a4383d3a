from pathlib import Path

import pytest
import toy

from slimline import files
from slimline.artifacts import description
from slimline.targets.executorch import installed as executorch
from slimline.targets.litert import installed as litert


@pytest.mark.skipif(
    not all(executorch.versions().values()), reason=f"{executorch.LOCK} is not installed"
)
@pytest.mark.slow
def test_the_pipeline_writes_and_scores_a_pte(pipeline: Path, tmp_path: Path) -> None:
    folder = toy.clone(pipeline, tmp_path / "toy")
    done = toy.dvc(folder, "exp", "run", "-S", "targets=[executorch]")
    assert "Running stage 'qat_finetune'" not in done.stdout
    target = folder / "models" / "device_export" / "executorch"
    assert {path.name for path in target.iterdir()} == {"model.pte", "model.json", "labels.txt"}
    content = description.read(target)
    product = description.read(folder / "models" / "int8_export")
    assert content["target"] == "executorch"
    assert content["not_delegated"] == []
    assert content["counts"]["int8_macs"] == content["counts"]["macs"]
    assert content["preprocessing"] == product["preprocessing"]
    assert "opset" not in content
    assert description.differing(target) == []
    figures = files.read_json(folder / "metrics" / "evaluate" / "devices" / "executorch.json")
    assert abs(figures["top1"] - figures["onnx_top1"]) < 1.5
    assert figures["agreement"] > 97
    assert "## In other runtimes" in (folder / "metrics" / "report.md").read_text()


@pytest.mark.skipif(not all(litert.versions().values()), reason=f"{litert.LOCK} is not installed")
@pytest.mark.slow
def test_the_pipeline_writes_and_scores_a_tflite(pipeline: Path, tmp_path: Path) -> None:
    folder = toy.clone(pipeline, tmp_path / "toy")
    done = toy.dvc(folder, "exp", "run", "-S", "targets=[litert]")
    assert "Running stage 'qat_finetune'" not in done.stdout
    target = folder / "models" / "device_export" / "litert"
    assert {path.name for path in target.iterdir()} == {"model.tflite", "model.json", "labels.txt"}
    content = description.read(target)
    assert content["target"] == "litert"
    assert content["not_delegated"] == []
    assert content["float_layers"] == []
    assert content["output"]["dtype"] == "float32"
    assert (
        content["preprocessing"] == description.read(folder / "models/int8_export")["preprocessing"]
    )
    assert description.differing(target) == []
    figures = files.read_json(folder / "metrics" / "evaluate" / "devices" / "litert.json")
    assert abs(figures["top1"] - figures["onnx_top1"]) < 1.5
    assert figures["agreement"] > 97
    assert "| litert |" in (folder / "metrics" / "report.md").read_text()


def test_no_target_runs_nothing(pipeline: Path) -> None:
    stages = toy.dvc(pipeline, "stage", "list", "--name-only").stdout
    assert "device" not in stages
    assert not (pipeline / "models" / "device_export").exists()
