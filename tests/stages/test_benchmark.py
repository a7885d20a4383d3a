from pathlib import Path

import toy

from slimline import files
from slimline.measure import block_times


def test_the_reference_is_as_fast_as_itself(pipeline: Path) -> None:
    found = {
        name: files.read_json(pipeline / "metrics" / "latency" / f"{name}.json")
        for name in toy.VARIANTS
    }
    assert found["baseline_train"]["speedup"] == 1
    times = block_times.read(pipeline / "metrics" / "benchmark" / "blocks.tsv")
    assert tuple(times) == toy.VARIANTS
    assert {len(column) for column in times.values()} == {3}
    for figures in found.values():
        assert 0 < figures["p50_ms"] <= figures["p95_ms"]
        assert figures["images_per_s"] > 0
        assert 10 < figures["peak_rss_mib"] < 4096
        assert figures["cpu"]
    run = files.read_json(pipeline / "metrics" / "benchmark" / "run.json")
    assert run["blocks"] == 3
    assert (run["is_noisy"], run["noise"]) == (True, None), "three blocks bound nothing"
    assert run["load_before"] >= 0
    assert run["load_after"] >= 0
