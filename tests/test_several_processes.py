"""Every stage that trains, by two processes: the same bytes each time, the same steps as by one."""

from pathlib import Path

import pytest
import toy

from slimline import files

pytestmark = pytest.mark.slow

STAGES = ("baseline_train", "backbone_swap", "prune", "prune_control", "qat_finetune")
SMALL = {
    "baseline_train.backbone": "resnet8_w48",
    "backbone_swap.backbone": "resnet8_w48",
    "baseline_train.recipe.epochs": 0.5,
    "backbone_swap.unfrozen.epochs": 0.5,
    "prune.recover.epochs": 0.3,
    "prune.steps": 1,
    "prune.max_drop": 100,
    "prune_control.train": True,
    "qat_finetune.recipe.epochs": 0.2,
}


def run(folder: Path, processes: int) -> Path:
    toy.make(folder)
    toy.set_params(folder, SMALL | {"processes": processes})
    toy.dvc(folder, "repro", "prune_control", "qat_finetune")
    return folder


def curves(folder: Path) -> dict[str, list[tuple[str, ...]]]:
    return {
        stage: [
            (row["phase"], row["step"], row["images"], row["learning_rate"])
            for row in files.read_table(folder / "models" / stage / "history.tsv")
        ]
        for stage in STAGES
    }


def test_two_processes_through_all_stages_that_train(tmp_path: Path) -> None:
    one, two, again = (
        run(tmp_path / name, count) for name, count in (("one", 1), ("two", 2), ("again", 2))
    )
    assert toy.results(two) == toy.results(again)
    assert curves(two) == curves(one)
    for stage in STAGES:
        weights = [each / "models" / stage / "weights.safetensors" for each in (one, two)]
        assert weights[0].read_bytes() != weights[1].read_bytes(), f"{stage} ran in one process"
    assert not list((two / ".slimline" / "checkpoints").glob("*"))
