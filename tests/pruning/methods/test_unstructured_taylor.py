import cuts
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.pruning import cost, widths
from slimline.pruning.methods import unstructured_taylor
from slimline.pruning.widths import Progress

FRAME = Preprocessing(6, 6, 1, (0.5,), (0.3,))


def subject(num_images: int = 40) -> tuple[Classifier, Split]:
    """A network, and images whose class is whether they are bright."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    ).eval()
    images = np.random.default_rng(0).integers(0, 256, (num_images, 6, 6, 1), dtype=np.uint8)
    labels = (images.mean((1, 2, 3)) > 127).astype(np.int64)
    model = Classifier(network, Architecture("resnet18", 2, 1, 1, 3), ["a", "b"], FRAME)
    return model, Split(images, labels, ["a", "b"], FRAME)


def loss(model: Classifier, split: Split) -> float:
    with torch.no_grad():
        logits = model.network(torch.from_numpy(FRAME.normalise(split.images)))
    return float(functional.cross_entropy(logits, torch.from_numpy(split.labels)))


def test_scores_are_what_the_loss_changes_by_without_a_weight() -> None:
    model, split = subject()
    scores = unstructured_taylor.loss_changes(model, split)
    assert {name: each.shape for name, each in scores.items()} == {"0": (8, 1, 3, 3), "4": (2, 8)}
    before, step = loss(model, split), 0.01
    weight = model.network[4].weight
    for row, column in ((0, 0), (1, 5)):
        with torch.no_grad():
            kept = weight[row, column].clone()
            weight[row, column] *= 1 - step
            slope = (before - loss(model, split)) / step
            weight[row, column] = kept
        assert scores["4"][row, column] == pytest.approx(abs(slope), rel=0.05, abs=1e-4)
    assert all(each.grad is None for each in model.network.parameters())


def cut(method: str, share: float) -> tuple[Classifier, float]:
    model, split = subject()
    settings = cuts.settings(method, threshold=0.0, target={"params": share})
    plan = settings.survey(model, split)
    before = cost.count(model.network, model.example)
    widths.choose(plan, settings, Progress(1, 1, before), cuts.NO_TABLES)
    plan.apply()
    assert plan.predict().zeros == cost.count(model.network, model.example).zeros > 0
    return model, loss(model, split)


def test_a_large_weight_that_nothing_depends_on_goes_and_a_small_one_that_matters_stays() -> None:
    model, split = subject()
    with torch.no_grad():
        model.network[0].bias[3] = -100.0  # never active
        model.network[0].weight[3] = 5.0
    settings = cuts.settings("unstructured_taylor", threshold=0.1)
    plan = settings.survey(model, split)
    before = cost.count(model.network, model.example)
    widths.choose(plan, settings, Progress(1, 1, before), cuts.NO_TABLES)
    plan.apply()
    assert (model.network[0].weight[3] == 0).all()
    assert (model.network[0].weight[:3] != 0).any()


def test_at_equal_zeros_the_loss_changes_less_than_by_size() -> None:
    model, split = subject()
    whole = loss(model, split)
    by_impact, by_size = (cut(name, 0.6) for name in ("unstructured_taylor", "magnitude"))
    zeros = [cost.count(each.network, model.example).zeros for each, _ in (by_impact, by_size)]
    assert zeros[0] == pytest.approx(zeros[1], abs=2)
    assert abs(by_impact[1] - whole) < abs(by_size[1] - whole)


def test_absolute_values_are_for_magnitude_alone() -> None:
    with pytest.raises(ValueError, match="unless method is magnitude"):
        cuts.settings("unstructured_taylor", unit="absolute")
