import pytest

from slimline.pruning import rounds
from slimline.pruning.magnitude import Magnitude


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_shares_add_up_to_the_threshold(steps: int) -> None:
    settings = Magnitude.model_construct(threshold=0.4, steps=steps)
    assert (1 - rounds.share_per_round(settings)) ** steps == pytest.approx(0.6)
