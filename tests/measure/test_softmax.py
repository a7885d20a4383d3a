import numpy as np
import pytest

from slimline.measure import softmax

LOGITS = np.array([[0.0, np.log(3.0)], [1000.0, 0.0]], np.float32)


def test_shares_worked_out_by_hand() -> None:
    assert np.exp(softmax.log_shares(LOGITS))[0] == pytest.approx([0.25, 0.75])
    assert softmax.largest_share(LOGITS) == pytest.approx([0.75, 1.0])


def test_large_logits_overflow_nothing() -> None:
    assert np.isfinite(softmax.log_shares(LOGITS)).all()
