"""The real pipeline at toy size: searched, confirmed, applied, its bytes brought from the cache.

The goal is latency by the committed table, which is of the default's network.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import toy

from slimline.repository import refs
from slimline.search.records import PREFIX

pytestmark = pytest.mark.slow

SPACE = {
    "prune.threshold": {"low": 0.2, "high": 0.6, "step": 0.1},
    "prune.recover.learning_rate": {"low": 0.002, "high": 0.02, "log": True},
    "prune.channel_multiple": {"choices": [8, 16]},
}
CHANGES: dict[str, Any] = {
    "backbone_swap.backbone": "resnet8_w48",
    "baseline_train.recipe.epochs": 1,
    "backbone_swap.unfrozen.epochs": 1,
    "prune.steps": 1,
    "qat_finetune.recipe.epochs": 0.1,
    "search.minimise": "latency_ms",
    "search.limits.max_top1_drop": 60,
    "search.limits.max_latency_ms": 1,
    "search.space": SPACE,
    "search.recovers": 40,
    "search.trials": 2,
    "search.confirm": {"candidates": 1, "seeds": 1},
}
PRODUCT = Path("models/int8_export/model.onnx")


def search(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "slimline", "search", *arguments]
    return subprocess.run(
        command, cwd=folder, env=toy.of_stages(), capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = toy.make(tmp_path / "here")
    toy.set_params(made, CHANGES)
    toy.commit(made, "Search for a faster model")
    return made


def test_a_table_of_another_network_is_refused_before_anything_is_trained(folder: Path) -> None:
    toy.dvc(folder, "repro", "prepare_data")
    toy.set_params(folder, {"backbone_swap.backbone": "shufflenet_v2_x0_5"})
    toy.commit(folder, "Take another network")
    refused = search(folder)
    assert refused.returncode == 2
    assert "data/layer_times.json was measured for another network" in refused.stderr
    assert "trial 1" not in refused.stderr


def test_what_is_found_is_confirmed_applied_and_comes_from_the_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = search(folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.index("confirmed: over 1 other seeds") < done.stderr.index("the test split")
    monkeypatch.chdir(folder)
    found = list(refs.read(PREFIX).values())
    trials = [each for each in found if each["seed"] is None]
    first = min(trials, key=lambda each: each["number"])
    assert first["settings"] == {
        "prune.threshold": 0.3,
        "prune.recover.learning_rate": 0.006,
        "prune.channel_multiple": 16,
    }
    assert len(trials) == 2
    complete = [each for each in trials if each["state"] == "complete"]
    best = min(complete, key=lambda each: each["figures"]["latency_ms"])
    # The second took what it did not change from the run cache.
    assert all("baseline_train" in each["reused"] for each in trials if each != first)

    begun = time.monotonic()
    assert search(folder, "report").returncode == 0
    assert time.monotonic() - begun < 60
    page = Path("metrics/search.html").read_text()
    assert "Accuracy against time" in page
    assert best["trial"] in page

    applied = search(folder, "apply")
    assert applied.returncode == 0, applied.stderr
    changed = toy.git(folder, "diff", "--name-only").split()
    assert changed in ([], ["params.yaml"])
    made = toy.dvc(folder, "repro", "int8_export").stdout
    for stage in ("baseline_train", "backbone_swap", "prune", "qat_finetune", "int8_export"):
        assert f"Running stage '{stage}'" not in made
    brought = PRODUCT.read_bytes()
    toy.git(folder, "restore", ".")
    # `dvc exp apply` would ask for models of stages that no trial runs.
    pattern = f"refs/exps/**/{best['experiment']}"
    experiment = toy.git(folder, "for-each-ref", "--format=%(refname)", pattern).strip()
    Path("dvc.lock").write_text(toy.git(folder, "show", f"{experiment}:dvc.lock"))
    PRODUCT.unlink()
    toy.dvc(folder, "checkout", "models/int8_export")
    assert PRODUCT.read_bytes() == brought
