from slimline.targets import layer_counts
from slimline.targets.layer_counts import Layer

LAYERS = [
    Layer("stem", params=24, weights=20, zeros=5, macs=2000, is_int8=True),
    Layer("fc", params=44, weights=40, zeros=0, macs=40, is_int8=False),
]


def test_layers_are_summed() -> None:
    assert layer_counts.counts(LAYERS) == {
        "params": 68,
        "weights": 60,
        "zeros": 5,
        "macs": 2040,
        "int8_macs": 2000,
    }


def test_what_is_not_int8_is_named() -> None:
    left_out = [{"layer": "pool", "operator": "mean"}]
    assert layer_counts.describe(LAYERS, left_out) == {
        "num_layers": 2,
        "not_delegated": left_out,
        "float_layers": ["fc"],
    }
