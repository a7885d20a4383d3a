import numpy as np
import pytest

from slimline.measure.latency import Latency


def test_figures_worked_out_by_hand() -> None:
    found = Latency(
        milliseconds=np.array([[1.0, 1.0, 9.0], [2.0, 2.0, 2.0]]),
        reference=np.array([[4.0, 4.0, 4.0], [4.0, 4.0, 90.0]]),
        batch_seconds=np.array([0.5, 0.25, 0.25]),
        batch_size=10,
        peak_rss_bytes=3 * 1024**2,
    )
    assert found.p50_ms == 2
    assert found.p95_ms == pytest.approx(7.25)
    assert found.speedup == 3
    assert found.images_per_s == 40
    assert found.peak_rss_mib == 3
