import pytest
import torch
from torch import nn
from torchao.quantization.pt2e import FakeQuantize

from slimline.quantization import calibration, qat
from slimline.quantization.calibrators import CALIBRATORS, NUM_BINS

IMAGES = torch.rand(64, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def prepared(*, outlier: float) -> nn.Module:
    """Return a network whose input is even from 0 to 1, but for one value, after calibration."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Hardswish(), nn.Conv2d(8, 2, 1))
    graph = qat.prepare(network.eval(), IMAGES[:2], weight_bits=7)
    images = IMAGES.clone()
    images[0, 0, 0, 0] = outlier
    graph(images)
    return graph


def is_range(module: nn.Module) -> bool:
    """Return whether it rounds to one range for all channels."""
    return isinstance(module, FakeQuantize) and module.qscheme == torch.per_tensor_affine


def first(graph: nn.Module) -> FakeQuantize:
    """Return the fake-quant of the input."""
    return next(each for each in graph.modules() if is_range(each))


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_ranges_are_set_as_the_calibrator_chooses(calibrator: str) -> None:
    graph = prepared(outlier=1)
    before = {name: each.clone() for name, each in graph.state_dict().items()}
    calibration.set_ranges(graph, calibrator, lambda: graph(2 * IMAGES))
    quantized = first(graph)
    assert quantized.scale.item() == pytest.approx(2 / 255, rel=0.02)
    assert quantized.scale.item() == quantized.calculate_qparams()[0].item()
    changed = {
        name.rpartition(".")[2]
        for name, each in graph.state_dict().items()
        if not torch.equal(each, before[name])
    }
    assert changed <= {"min_val", "max_val", "scale", "zero_point"}


def test_an_outlier_costs_minmax_its_resolution_and_percentile_nothing() -> None:
    graph = prepared(outlier=50)
    assert first(graph).scale.item() == pytest.approx(50 / 255)
    images = IMAGES.clone()
    images[0, 0, 0, 0] = 50
    calibration.set_ranges(graph, "percentile", lambda: graph(images))
    assert first(graph).scale.item() == pytest.approx(1 / 255, abs=50 / NUM_BINS / 255)


def test_minmax_sees_all_batches_alike() -> None:
    graph = prepared(outlier=1)
    batches = [IMAGES[:32], 40 * IMAGES[32:33], IMAGES[33:]]

    def run() -> None:
        for batch in batches:
            graph(batch)

    calibration.set_ranges(graph, "minmax", run)
    top = max(float(batch.max()) for batch in batches)
    assert first(graph).scale.item() == pytest.approx(top / 255)


def test_what_never_changes_keeps_its_range() -> None:
    graph = prepared(outlier=1)
    before = first(graph).scale.clone()
    calibration.set_ranges(graph, "mse", lambda: graph(torch.ones(2, 4, 16, 16)))
    assert torch.equal(first(graph).scale, before)


def test_images_that_show_nothing_are_counted() -> None:
    images = torch.zeros(5, 3, 4, 4)
    images[1, 2, 0, 0] = 1
    images[2] = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    assert calibration.count_flat(images) == 4


def test_many_of_them_are_told() -> None:
    assert calibration.warning(9, 100) == ""
    told = calibration.warning(60, 100)
    assert "60 of 100 calibration images have one colour everywhere" in told
    assert "data.calibration_images" in told


def told_of(images: torch.Tensor) -> list[str]:
    graph = prepared(outlier=1)
    return calibration.set_ranges(graph, "minmax", lambda: graph(images))


def test_a_channel_that_leaves_the_others_no_bytes_is_told_with_its_place() -> None:
    assert told_of(IMAGES) == []
    images = IMAGES.clone()
    images[:, 1] *= 1000
    told = told_of(images)
    assert told[0].startswith("warning: one channel of the input reaches 1,000 times as far as")
    assert "quantization.equalise" in told[0]


def test_values_that_never_change_are_told() -> None:
    (told, *_) = told_of(torch.ones(2, 4, 16, 16))
    assert told.startswith("warning: the input is 1 in all calibration images")


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_a_range_that_leaves_out_much_is_told(calibrator: str) -> None:
    """Of one image entropy takes chance for the distribution, and cuts off its tail."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()
    graph = qat.prepare(network, IMAGES[:2], weight_bits=7)
    image = torch.randn(1, 4, 16, 16).exp()
    told = calibration.set_ranges(graph, calibrator, lambda: graph(image))
    of_cuts = [each for each in told if "out of its range" in each]
    assert len(of_cuts) == (calibrator == "entropy")
    if of_cuts:
        assert of_cuts[0].startswith("warning: calibrator entropy leaves ")
        assert "data.calibration_images" in of_cuts[0]


def test_halves_that_share_a_range_have_channels_of_their_own() -> None:
    """As those of ShuffleNetV2: more channels before a split than behind it."""

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 8, 1), nn.Conv2d(4, 4, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            kept, read = self.one(images).chunk(2, dim=1)
            return torch.cat([kept, self.two(read)], dim=1)

    graph = qat.prepare(Halves().eval(), IMAGES[:2], weight_bits=7)
    assert calibration.set_ranges(graph, "minmax", lambda: graph(IMAGES)) == []


def test_weights_that_are_no_layers_are_not_told_of() -> None:
    class Scaled(nn.Module):
        """A layer scale, as untrained ones are."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1)
            self.scale = nn.Parameter(torch.full((8, 1, 1), 1e-3))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = self.one(images)
            return maps + self.scale * self.two(maps)

    graph = qat.prepare(Scaled().eval(), IMAGES[:2], weight_bits=7)
    graph(IMAGES)
    scales = {name: each.scale.clone() for name, each in graph.named_modules() if is_range(each)}
    assert calibration.set_ranges(graph, "minmax", lambda: graph(IMAGES)) == []
    assert any(each.item() == pytest.approx(1e-3 / 255, rel=0.01) for each in scales.values())
    for name, scale in scales.items():
        assert torch.equal(graph.get_submodule(name).scale, scale)
