import re

import numpy as np
import pytest

from slimline.parity import int8_parity
from slimline.quantization.settings import Int8ExportParams

TIMES = 100
"""So often the four images, that chance explains little."""

LABELS = np.tile([0, 1, 1, 0], TIMES)
ONE = np.tile(np.array([[2, 1], [1, 2], [1, 2], [1, 2]], np.float32), (TIMES, 1))
OTHER = np.tile(np.array([[2, 1], [1, 2], [2, 1], [1, 2]], np.float32), (TIMES, 1))


def bounds(**changes: float) -> Int8ExportParams:
    """Return bounds that hold for `ONE` against `OTHER`, but for the changes."""
    hold = {
        "min_agreement": 75,
        "min_agreement_optimised": 75,
        "max_top1_difference": 25,
        "max_logit_difference": 100,
        "max_logit_difference_optimised": 100,
    }
    return Int8ExportParams(pad_channels=False, opset=18, ir_version=8, **hold | changes)


def test_figures_worked_out_by_hand() -> None:
    found = int8_parity.compare(ONE, ONE, OTHER, LABELS)
    assert (found.agreement_written, found.agreement) == (100, 75)
    assert (found.top1_fake_quant, found.top1_int8) == (75, 50)
    assert (found.top1_difference, found.spread) == (25, 1)
    assert (found.largest_difference_written, found.largest_difference) == (0, 1)
    assert (found.images, found.won, found.lost) == (400, 0, 100)
    assert found.least_top1_difference == pytest.approx(20.9, abs=0.3)


@pytest.mark.parametrize(
    ("key", "value", "told", "optimised"),
    [
        ("min_agreement", 80, "as it is written.*75.00 %.*asks for 80", False),
        ("min_agreement_optimised", 80, "as it is optimised.*75.00 %.*asks for 80", True),
        ("max_logit_difference", 90, "as it is written.*100.00 % of the.*allows 90", False),
        ("max_logit_difference_optimised", 90, "as it is optimised.*100.00 %.*allows 90", True),
        ("max_top1_difference", 10, "75.00 % in fake-quant and 50.00 %.*allows 10", True),
    ],
)
def test_a_broken_bound_names_its_key(key: str, value: float, told: str, optimised: bool) -> None:
    broken = int8_parity.compare(ONE, OTHER, OTHER, LABELS).broken(bounds(**{key: value}))
    assert broken is not None
    assert f"int8_export.{key} " in broken.text
    assert re.search(told, broken.text)
    assert broken.optimised == optimised


@pytest.mark.parametrize(("count", "num_others"), [(50, 1), (300, 2), (5000, 30)])
def test_a_few_odd_ties_stop_nobody(count: int, num_others: int) -> None:
    """298 of 300 equal answers, at 0.7 points less, stopped a sound EfficientNet-Lite0."""
    labels = np.zeros(count, int)
    logits = np.tile(np.array([[1, 0.99, -20]], np.float32), (count, 1))
    turned = logits.copy()
    turned[:num_others, :2] = turned[:num_others, 1::-1]
    strict = bounds(min_agreement=99.5, min_agreement_optimised=99, max_top1_difference=0.5)
    assert int8_parity.compare(logits, turned, turned, labels).broken(strict) is None


def test_more_than_chance_can_do_stops() -> None:
    labels = np.zeros(300, int)
    logits = np.tile(np.array([[1, 0.99, -20]], np.float32), (300, 1))
    turned = logits.copy()
    turned[:9, :2] = turned[:9, 1::-1]
    found = int8_parity.compare(logits, turned, logits, labels)
    broken = found.broken(bounds(min_agreement=99.5))
    assert broken is not None
    assert "97.00 % of 300 validation images, beyond chance no more than 98.4" in broken.text


def test_bounds_that_hold() -> None:
    assert int8_parity.compare(ONE, OTHER, OTHER, LABELS).broken(bounds()) is None


def test_logits_without_any_spread_must_be_the_same() -> None:
    flat = np.zeros((4 * TIMES, 2), np.float32)
    assert int8_parity.compare(flat, flat, flat, LABELS).broken(bounds()) is None
    broken = int8_parity.compare(flat, flat + np.float32(1e-3), flat, LABELS).broken(bounds())
    assert broken is not None
    assert "max_logit_difference allows" in broken.text


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_nan_is_never_the_same(broken: int) -> None:
    logits = [ONE, ONE, ONE]
    logits[broken] = np.full_like(ONE, np.nan)
    found = int8_parity.compare(*logits, LABELS).broken(bounds(min_agreement=0))
    assert found is not None
    everywhere = np.full_like(ONE, np.nan)
    assert int8_parity.compare(everywhere, everywhere, everywhere, LABELS).broken(bounds())
