from math import inf

import numpy as np
import pytest

from slimline.measure import benchmark_figures
from slimline.measure.latency import Latency
from slimline.measure.machine import Load


def latency(reference: np.ndarray, times: np.ndarray) -> Latency:
    return Latency(times[:, np.newaxis], reference[:, np.newaxis], np.ones(1), 1, 0)


def test_figures_worked_out_by_hand() -> None:
    found = Latency(
        milliseconds=np.array([[1.0, 1.0, 9.0], [2.0, 2.0, 2.0]]),
        reference=np.array([[4.0, 4.0, 4.0], [4.0, 4.0, 90.0]]),
        batch_seconds=np.array([0.5, 0.25, 0.25]),
        batch_size=10,
        peak_rss_bytes=3 * 1024**2,
        base_rss_bytes=2 * 1024**2,
    )
    assert found.p50_ms == 2
    assert found.p95_ms == pytest.approx(7.25)
    assert found.speedup == 3
    assert found.images_per_s == 40
    assert (found.peak_rss_mib, found.base_rss_mib) == (3, 2)
    assert found.noise == inf


def test_the_least_certain_speedup_says_whether_a_run_was_noisy() -> None:
    ones, ramp = np.ones(10), np.linspace(0.91, 1.0, 10)
    measured = {"a": latency(ones, ones), "b": latency(ones, 1 / ramp)}
    assert measured["a"].noise == 0
    # The second and the ninth of ten values bound their median: 0.92 and 0.99.
    assert measured["b"].noise == pytest.approx(100 * 0.035 / 0.955, rel=1e-9)
    load = Load(before=0.5, after=1.25, others=None)
    run = benchmark_figures.run(measured, max_noise=2.5, load=load)
    assert run == {
        "blocks": 10,
        "noise": 3.66,
        "max_noise": 2.5,
        "is_noisy": True,
        "load_before": 0.5,
        "load_after": 1.25,
        "others_cpu": None,
    }
    assert not benchmark_figures.run(measured, max_noise=4, load=load)["is_noisy"]
