import pytest
import torch
from torch.nn import functional

from slimline.training import losses


def test_distillation_loss_is_zero_for_equal_answers() -> None:
    logits = torch.randn(8, 5)
    assert losses.distillation_loss(logits, logits, 3).abs() < 1e-6
    assert losses.distillation_loss(logits, -logits, 3) > 0.1


def test_smoothing_does_not_prefer_a_class_of_large_weight() -> None:
    weights = torch.tensor([0.5, 50.0])
    logits = torch.zeros(4, 2, requires_grad=True)
    labels = torch.tensor([0, 0, 0, 0])
    losses.weighted_loss(logits, labels, weights, 0.1).backward()
    assert (logits.grad[:, 0] < 0).all(), "the gradient pulls towards the right class"
    shares = functional.one_hot(labels, 2).float()
    same = losses.weighted_loss(logits, shares, weights, 0.1)
    assert torch.allclose(same, losses.weighted_loss(logits, labels, weights, 0.1))
    plain = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert torch.allclose(losses.weighted_loss(logits, labels, None, 0.1), plain)


@pytest.mark.parametrize("parts", [1, 2, 4, 8])
def test_parts_of_a_batch_weigh_as_the_whole(parts: int) -> None:
    """As gradient accumulation and several processes have them; the rare class is in one part."""
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1])
    logits = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([8 / 14, 4.0])
    whole = losses.weighted_loss(logits, labels, weights, 0.0)
    of_parts = [
        losses.weighted_loss(some, own, weights, 0.0)
        for some, own in zip(logits.chunk(parts), labels.chunk(parts), strict=True)
    ]
    assert torch.allclose(torch.stack(of_parts).mean(), whole)
