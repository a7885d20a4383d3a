"""How layers that stayed whole are told."""

from slimline.pruning import whole_layers
from slimline.pruning.whole_layers import WholeLayer


def test_layers_with_one_kind_of_keeper_are_told_together() -> None:
    whole = [WholeLayer(f"a.{place}", "LayerNorm", f"norm.{place}") for place in range(4)]
    whole.insert(1, WholeLayer("b", "what the network answers", ""))
    assert whole_layers.told(whole, most=2) == (
        "a.0, a.1 and 2 more (LayerNorm at norm.0 and 3 other places); b (what the network answers)"
    )
    assert whole_layers.told([]) == ""
