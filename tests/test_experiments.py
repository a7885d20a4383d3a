"""What users do all day: `dvc exp run -S ...`, sweeps in the queue, figures side by side."""

import json
from pathlib import Path
from typing import Any

import pytest
import toy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.clone(pipeline, tmp_path_factory.mktemp("experiments") / "toy")


def experiments(folder: Path) -> list[dict[str, Any]]:
    shown = json.loads(toy.dvc(folder, "exp", "show", "--json").stdout)
    revisions = [each for base in shown for each in base["experiments"] or []]
    return [each["revs"][0]["data"] for each in revisions]


def figure(experiment: dict[str, Any], variant: str, key: str) -> float:
    return experiment["metrics"][f"metrics/evaluate/{variant}.json"]["data"][key]


def test_a_threshold_reruns_pruning_and_what_follows(workspace: Path) -> None:
    done = toy.dvc(workspace, "exp", "run", "-S", "prune.threshold=0.2")
    ran = [line.split("'")[1] for line in done.stdout.splitlines() if "Running stage" in line]
    assert ran[:2] == ["validate_params", "prune"]
    assert not {"prepare_data", "baseline_train", "backbone_swap"} & set(ran)
    table = toy.dvc(workspace, "metrics", "diff", "--md", "main").stdout
    assert "metrics/evaluate/prune.json" in table
    assert "prune.threshold" in toy.dvc(workspace, "params", "diff", "--md", "main").stdout
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")


@pytest.mark.parametrize(
    ("method", "key", "sign"),
    [("structured_magnitude", "macs_m", -1), ("magnitude", "sparsity", 1)],
)
def test_a_sweep_is_monotone(workspace: Path, method: str, key: str, sign: int) -> None:
    toy.dvc(workspace, "exp", "remove", "--all-commits")
    sweep = ["prune.threshold=0.05,0.1,0.2,0.3", f"prune.method={method}"]
    toy.dvc(workspace, "exp", "run", "--queue", *(part for each in sweep for part in ("-S", each)))
    toy.dvc(workspace, "exp", "run", "--run-all")
    found = sorted(
        (each["params"]["params.yaml"]["data"]["prune"]["threshold"], figure(each, "prune", key))
        for each in experiments(workspace)
    )
    assert [threshold for threshold, _ in found] == [0.05, 0.1, 0.2, 0.3]
    figures = [sign * value for _, value in found]
    assert figures == sorted(set(figures))


def test_temp_runs_the_code_of_its_own_workspace(workspace: Path) -> None:
    prune = workspace / "stages" / "prune.py"
    original = prune.read_text()
    prune.write_text(original.replace("def main(", "print('edited')\n\n\ndef main("))
    done = toy.dvc(workspace, "exp", "run", "--temp", "-S", "prune.threshold=0.25")
    prune.write_text(original)
    assert "edited" in done.stdout
