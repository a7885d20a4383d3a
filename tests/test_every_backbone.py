"""`-S backbone_swap.backbone=<every entry>` runs the toy pipeline to its end."""

from pathlib import Path

import pytest
import toy

from slimline import files
from slimline.networks.registry import REGISTRY

pytestmark = pytest.mark.slow

SHORT = {
    "backbone_swap.stem_stride": 2,
    "backbone_swap.unfrozen.epochs": 0.1,
    "prune.steps": 1,
    "prune.recover.epochs": 0.1,
    "qat_finetune.recipe.epochs": 0.1,
    # Five steps teach nothing: all answers are near ties, which the last bit of a kernel turns.
    "int8_export.max_top1_difference": 100,
    "benchmark.blocks": 2,
}


@pytest.fixture(scope="module")
def workspace(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = toy.clone(pipeline, tmp_path_factory.mktemp("backbones") / "toy")
    toy.set_params(folder, SHORT)
    toy.commit(folder, "Train next to nothing")
    return folder


@pytest.mark.parametrize("name", list(REGISTRY))
def test_it_runs_to_its_end(workspace: Path, name: str) -> None:
    toy.dvc(workspace, "exp", "run", "-S", f"backbone_swap.backbone={name}")
    content = files.read_json(workspace / "models" / "int8_export" / "model.json")
    assert content["architecture"]["backbone"] == name
    figures = files.read_json(workspace / "metrics" / "evaluate" / "int8_export.json")
    assert figures["int8_macs"] > 99
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")
