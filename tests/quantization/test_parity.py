import numpy as np
import pytest

from slimline.core.errors import ParityError
from slimline.quantization import parity
from slimline.quantization.settings import Int8ExportParams

LABELS = np.array([0, 1, 1, 0])
ONE = np.array([[2, 1], [1, 2], [1, 2], [1, 2]], np.float32)
OTHER = np.array([[2, 1], [1, 2], [2, 1], [1, 2]], np.float32)


def test_figures_worked_out_by_hand() -> None:
    found = parity.compare(ONE, OTHER, LABELS)
    assert (found.agreement, found.top1_fake_quant, found.top1_int8) == (75, 75, 50)
    assert (found.top1_difference, found.largest_difference) == (25, 1)


@pytest.mark.parametrize(
    ("agreement", "difference", "told"),
    [(80, 50, "min_agreement"), (70, 10, "max_top1_difference")],
)
def test_a_broken_bound_names_its_key(agreement: float, difference: float, told: str) -> None:
    settings = Int8ExportParams(min_agreement=agreement, max_top1_difference=difference)
    with pytest.raises(ParityError, match=told):
        parity.compare(ONE, OTHER, LABELS).check(settings)


def test_bounds_that_hold() -> None:
    settings = Int8ExportParams(min_agreement=75, max_top1_difference=25)
    parity.compare(ONE, OTHER, LABELS).check(settings)
