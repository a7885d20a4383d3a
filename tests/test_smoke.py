"""The whole pipeline at toy size, through real DVC: `make smoke`."""

import json
from pathlib import Path

import toy

EVALUATE_KEYS = {
    "top1", "top1_low", "top1_high", "agreement", "mean_recall", "least_recall", "ece",
    "loss", "size_kib", "size_zip_kib", "params", "sparsity", "macs_m", "int8_macs",
    "validation_top1",
}  # fmt: skip
LATENCY_KEYS = {
    "p50_ms", "p95_ms", "images_per_s", "peak_rss_mib", "base_rss_mib", "speedup",
    "cpu", "cpu_flags",
}  # fmt: skip


def figures(folder: Path, part: str, variant: str) -> dict[str, float]:
    return json.loads((folder / "metrics" / part / f"{variant}.json").read_text())


def test_every_variant_has_learned(pipeline: Path) -> None:
    chance = 10
    for variant in toy.VARIANTS:
        found = figures(pipeline, "evaluate", variant)
        assert set(found) == EVALUATE_KEYS
        assert found["top1_low"] > 4 * chance, variant
        assert set(figures(pipeline, "latency", variant)) == LATENCY_KEYS


def test_each_stage_does_what_it_is_for(pipeline: Path) -> None:
    swap, prune, int8, dynamic, half = (
        figures(pipeline, "evaluate", name)
        for name in ("backbone_swap", "prune", "int8_export", "int8_dynamic", "float16")
    )
    assert prune["macs_m"] < 0.95 * swap["macs_m"]
    assert prune["params"] < swap["params"]
    assert int8["int8_macs"] > 99
    assert prune["macs_m"] < int8["macs_m"] < 1.3 * prune["macs_m"], "only the stem is wider"
    assert int8["size_kib"] < prune["size_kib"] / 2.5
    assert 0 < dynamic["int8_macs"] < 50
    assert half["size_kib"] < 0.7 * prune["size_kib"]
    assert (half["params"], half["macs_m"]) == (prune["params"], prune["macs_m"])
    assert figures(pipeline, "evaluate", "baseline_train")["agreement"] == 100


def test_the_product_is_no_larger_than_ptq(pipeline: Path) -> None:
    ours, theirs = (
        figures(pipeline, "evaluate", name)["size_kib"] for name in ("int8_export", "int8_ptq")
    )
    assert ours <= theirs


def test_a_second_run_does_nothing(pipeline: Path) -> None:
    done = toy.dvc(pipeline, "repro")
    assert "Running stage" not in done.stdout
    assert "up to date" in done.stdout


def test_everything_that_was_written_is_tracked_or_ignored(pipeline: Path) -> None:
    assert toy.git(pipeline, "status", "--porcelain") == ""


def test_learning_curves_are_plots(pipeline: Path) -> None:
    shown = json.loads(toy.dvc(pipeline, "plots", "show", "--json").stdout)
    for stage in ("baseline_train", "backbone_swap", "prune", "qat_finetune"):
        points = shown["data"][stage][0]["content"] if "data" in shown else shown[stage]
        assert points, stage
