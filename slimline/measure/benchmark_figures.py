"""The metric files of stage `benchmark`: one name and one rounding for each figure, in one place.

What a figure means is said at the property that it comes from.
"""

from collections.abc import Mapping
from math import isinf
from typing import Any

from slimline.measure.latency import Latency
from slimline.measure.machine import Load
from slimline.processor import Cpu


def noisy(latency: Latency, cpu: Cpu) -> dict[str, Any]:
    """Return the content of `metrics/latency/<variant>.json`."""
    return {
        "p50_ms": round(latency.p50_ms, 4),
        "p95_ms": round(latency.p95_ms, 4),
        "images_per_s": round(latency.images_per_s, 1),
        "peak_rss_mib": round(latency.peak_rss_mib, 1),
        "base_rss_mib": round(latency.base_rss_mib, 1),
        "speedup": round(latency.speedup, 3),
        "cpu": cpu.model,
        "cpu_flags": " ".join(cpu.flags),
    }


def run(measured: Mapping[str, Latency], max_noise: float, load: Load) -> dict[str, Any]:
    """Return the content of `metrics/benchmark/run.json`: how far the figures can be trusted.

    `noise` is the percent by which the least certain speedup may be off; null where there are too
    few blocks to say.
    """
    noise = max(each.noise for each in measured.values())
    return {
        "blocks": len(next(iter(measured.values())).block_ms),
        "noise": None if isinf(noise) else round(noise, 2),
        "max_noise": max_noise,
        "is_noisy": not noise <= max_noise,
        "load_before": round(load.before, 2),
        "load_after": round(load.after, 2),
        "others_cpu": None if load.others is None else round(load.others, 1),
    }


def blocks(measured: Mapping[str, Latency]) -> list[dict[str, float]]:
    """Return the rows of `metrics/benchmark/blocks.tsv`: ms of each variant in each block.

    They are to latency what the predictions are to accuracy: bounds of any certainty follow.
    """
    columns = {name: latency.block_ms.tolist() for name, latency in measured.items()}
    turns = zip(*columns.values(), strict=True)
    return [dict(zip(columns, turn, strict=True)) for turn in turns]
