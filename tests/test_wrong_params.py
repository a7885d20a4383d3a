"""Wrong settings are refused by the first stage: before any training, in one line that helps."""

from pathlib import Path

import pytest
import toy


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.make(tmp_path_factory.mktemp("wrong") / "toy")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("prune.threshold=banana", ["prune.threshold", "'banana'", "number"]),
        ("+prune.treshold=0.2", ["prune.treshold", "0.2", "did you mean 'threshold'?"]),
        ("baseline_train.recipe.epochs=-1", ["baseline_train.recipe.epochs", "-1", "greater"]),
        ("backbone_swap.backbone=vgg", ["backbone_swap.backbone", "'vgg'", "resnet18"]),
        ("backbone_swap.pretrained=imagenet", ["backbone_swap.pretrained", "efficientnet_lite0"]),
        ("prune.method=luck", ["prune", "'luck'", "structured_magnitude"]),
        ("~int8_ptq", ["int8_ptq", "missing"]),
    ],
)
def test_refused_before_anything_runs(fresh: Path, change: str, told: list[str]) -> None:
    done = toy.dvc(fresh, "exp", "run", "-S", change, check=False)
    toy.git(fresh, "restore", ".")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "prepare_data" not in done.stdout
    line = next(each for each in done.stderr.splitlines() if each.startswith("params.yaml: "))
    assert [each for each in told if each not in line] == []
    assert toy.git(fresh, "status", "--porcelain") == ""
