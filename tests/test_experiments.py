"""What users do all day: `dvc exp run -S ...`, sweeps in the queue, figures side by side."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toy

from slimline import files

pytestmark = pytest.mark.slow

ALWAYS = {"code"}
GATES = {
    "min_int8_macs", "max_top1_drop", "min_size_ratio", "min_speedup", "max_top1_loss",
    "max_size_growth", "max_slowdown",
}  # fmt: skip
"""Those that have a limit in params.yaml."""


@pytest.fixture(scope="module")
def workspace(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.clone(pipeline, tmp_path_factory.mktemp("experiments") / "toy")


def experiments(folder: Path) -> list[dict[str, Any]]:
    shown = json.loads(toy.dvc(folder, "exp", "show", "--json").stdout)
    revisions = [each for base in shown for each in base["experiments"] or []]
    return [each["revs"][0]["data"] for each in revisions]


def figure(experiment: dict[str, Any], variant: str, key: str) -> float:
    return experiment["metrics"][f"metrics/evaluate/{variant}.json"]["data"][key]


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"Running stage '([a-z_0-9]+)", done.stdout)


def slimline(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "slimline", *arguments]
    return subprocess.run(
        command, cwd=folder, env=toy.of_stages(), capture_output=True, text=True, check=False
    ).stdout


def test_a_threshold_reruns_pruning_and_what_follows(workspace: Path) -> None:
    done = toy.dvc(workspace, "exp", "run", "-S", "prune.threshold=0.2")
    again = set(ran(done)) - ALWAYS
    assert "prune" in again
    assert not {"prepare_data", "baseline_train", "backbone_swap"} & again
    table = toy.dvc(workspace, "metrics", "diff", "--md", "main").stdout
    assert "metrics/evaluate/prune.json" in table
    assert "prune.threshold" in toy.dvc(workspace, "params", "diff", "--md", "main").stdout
    comment = slimline(workspace, "diff", "main")
    assert "| prune.threshold | 0.3 | 0.2 |" in comment
    assert "| multiply-accumulates |" in comment
    told = slimline(workspace, "gate", "--base", "main").splitlines()
    assert len(told) == len(GATES)
    assert all(any(f" {gate} " in line for line in told) for gate in GATES)
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")


def test_a_comment_reruns_nothing_and_a_new_name_changes_nothing(workspace: Path) -> None:
    prune = workspace / "stages" / "prune.py"
    written = prune.read_text()
    prune.write_text(f"{written}# A comment.\n")
    assert set(ran(toy.dvc(workspace, "repro"))) == ALWAYS
    prune.write_text(f"{written}UNUSED = 1\n")
    assert set(ran(toy.dvc(workspace, "repro"))) == ALWAYS | {"prune", "prune_control"}
    assert "**int8_export is what it was**" in slimline(workspace, "diff", "main")
    lines = slimline(workspace, "gate", "--base", "main").splitlines()
    against_base = [line for line in lines if "max_top1_loss" in line or "_growth" in line]
    assert [line.split()[0] for line in against_base] == ["kept", "kept"]
    toy.git(workspace, "restore", ".")


@pytest.mark.parametrize(
    ("method", "key", "sign"),
    [
        ("structured_magnitude", "macs_m", -1),
        ("taylor", "macs_m", -1),
        ("magnitude", "sparsity", 1),
    ],
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


def test_rounds_are_a_curve_that_dvc_plots_beside_that_of_main(workspace: Path) -> None:
    toy.dvc(workspace, "exp", "run", "-S", "prune.threshold=0.15")
    shown = json.loads(toy.dvc(workspace, "plots", "diff", "main", "--json").stdout)
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")
    (plot,) = shown["data"]["prune_rounds"]
    curves: dict[str, dict[str, str]] = {"main": {}, "workspace": {}}
    for point in plot["content"]["data"]["values"]:
        curves[point["rev"]][point["macs_m"]] = point["top1_recovered"]
    assert [len(curve) for curve in curves.values()] == [3, 3]
    assert min(map(float, curves["main"])) < min(map(float, curves["workspace"]))


def test_a_scan_steers_the_rates_and_a_threshold_does_not_repeat_it(workspace: Path) -> None:
    asked = ["sensitivity.shares=[0.3,0.6]", "sensitivity.images=100", "prune.rates=auto"]
    toy.dvc(workspace, "exp", "run", *(part for each in asked for part in ("-S", each)))
    rows = (workspace / "metrics" / "history" / "sensitivity.tsv").read_text().splitlines()
    assert rows[0].split("\t") == ["layers", "share", "top1", "lost", "lost_recall"]
    assert len(rows) > 20
    assert "What each layer bears" in (workspace / "metrics" / "report.md").read_text()
    done = toy.dvc(workspace, "exp", "run", "-S", "prune.threshold=0.1")
    assert "Running stage 'prune'" in done.stdout
    assert "Running stage 'sensitivity'" not in done.stdout
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")


def test_a_control_of_pruning_is_a_line_of_the_report_and_prunes_nothing_again(
    workspace: Path,
) -> None:
    done = toy.dvc(workspace, "exp", "run", "-S", "prune_control.train=true")
    assert "Running stage 'prune_control'" in done.stdout
    assert "Running stage 'prune'" not in done.stdout
    assert "of it more training" in (workspace / "metrics" / "report.md").read_text()
    control, swapped = (
        (workspace / "models" / name / "model.onnx").stat().st_size
        for name in ("prune_control", "backbone_swap")
    )
    assert control == pytest.approx(swapped, rel=0.001)
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")


def test_layers_stay_float_by_name_and_by_a_scan(workspace: Path) -> None:
    asked = [
        "quantization.mixed.float_layers=[conv1.0,fc]",
        "quantization.mixed.max_drop=50",
        "int8_sensitivity.scan=true",
        "int8_sensitivity.images=20",
    ]
    toy.dvc(workspace, "exp", "run", *(part for each in asked for part in ("-S", each)))
    found = json.loads((workspace / "metrics" / "evaluate" / "int8_export.json").read_text())
    assert 50 < found["int8_macs"] < 100
    table = (workspace / "metrics" / "history" / "int8_layers.tsv").read_text().splitlines()
    rows = [dict(zip(table[0].split("\t"), line.split("\t"), strict=True)) for line in table[1:]]
    assert {row["layer"] for row in rows if row["reason"] == "named"} == {"conv1.0", "fc"}
    assert all(row["lost"] for row in rows)
    assert "layers run in float" in (workspace / "metrics" / "report.md").read_text()
    done = toy.dvc(workspace, "exp", "run", "-S", "quantization.mixed.max_drop=40")
    assert "Running stage 'qat_finetune'" in done.stdout
    assert "Running stage 'int8_sensitivity'" not in done.stdout
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")


def test_a_target_is_met(workspace: Path) -> None:
    toy.dvc(
        workspace, "exp", "run", "-S", "prune.target.macs=0.5", "-S", "prune.channel_multiple=4"
    )
    macs = [
        json.loads((workspace / "metrics" / "evaluate" / f"{name}.json").read_text())["macs_m"]
        for name in ("backbone_swap", "prune")
    ]
    assert macs[1] == pytest.approx(0.5 * macs[0], rel=0.02)
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")


def test_zeros_are_in_the_product_and_the_report_says_what_they_are_worth(workspace: Path) -> None:
    changes = ["prune.method=magnitude", "prune.target.params=0.5"]
    toy.dvc(workspace, "exp", "run", *(part for each in changes for part in ("-S", each)))
    found = {
        name: json.loads((workspace / "metrics" / "evaluate" / f"{name}.json").read_text())
        for name in ("backbone_swap", "prune", "int8_export")
    }
    assert found["prune"]["sparsity"] > 50
    assert found["int8_export"]["sparsity"] >= found["prune"]["sparsity"]
    assert found["prune"]["size_kib"] == pytest.approx(found["backbone_swap"]["size_kib"], rel=0.01)
    assert found["prune"]["size_zip_kib"] < 0.7 * found["backbone_swap"]["size_zip_kib"]
    assert (
        "of the weights of prune are zero, which saves no bytes"
        in (workspace / "metrics" / "report.md").read_text()
    )
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")


def test_threshold_0_runs_to_the_end_and_cuts_nothing(workspace: Path) -> None:
    toy.dvc(workspace, "exp", "run", "-S", "prune.threshold=0.0")
    figures = [
        files.read_json(workspace / "metrics" / "evaluate" / f"{name}.json")
        for name in ("backbone_swap", "prune")
    ]
    assert figures[0]["macs_m"] == figures[1]["macs_m"]
    toy.git(workspace, "restore", ".")
    toy.dvc(workspace, "checkout")
