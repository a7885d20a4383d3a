import numpy as np
import pytest

from slimline.core.errors import ParityError
from slimline.quantization import parity
from slimline.quantization.settings import Int8ExportParams

LABELS = np.array([0, 1, 1, 0])
ONE = np.array([[2, 1], [1, 2], [1, 2], [1, 2]], np.float32)
OTHER = np.array([[2, 1], [1, 2], [2, 1], [1, 2]], np.float32)


def bounds(written: float, optimised: float, difference: float) -> Int8ExportParams:
    return Int8ExportParams(
        pad_channels=False,
        opset=18,
        ir_version=8,
        min_agreement=written,
        min_agreement_optimised=optimised,
        max_top1_difference=difference,
    )


def test_figures_worked_out_by_hand() -> None:
    found = parity.compare(ONE, ONE, OTHER, LABELS)
    assert (found.agreement_written, found.agreement) == (100, 75)
    assert (found.top1_fake_quant, found.top1_int8) == (75, 50)
    assert (found.top1_difference, found.largest_difference) == (25, 1)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (bounds(80, 70, 50), "int8_export.min_agreement asks"),
        (bounds(70, 80, 50), "int8_export.min_agreement_optimised asks"),
        (bounds(70, 70, 10), "int8_export.max_top1_difference allows"),
    ],
)
def test_a_broken_bound_names_its_key(broken: Int8ExportParams, told: str) -> None:
    with pytest.raises(ParityError, match=told):
        parity.compare(ONE, OTHER, OTHER, LABELS).check(broken)


def test_bounds_that_hold() -> None:
    parity.compare(ONE, OTHER, OTHER, LABELS).check(bounds(75, 75, 25))
