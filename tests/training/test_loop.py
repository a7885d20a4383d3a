import copy

import numpy as np
import pytest
import torch
import toy
from torch import nn

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.training import loop
from slimline.training.recipe import Distill, DistilledRecipe

FRAME = Preprocessing(4, 4, 1, mean=(0.5,), std=(0.5,))
RECIPE = DistilledRecipe(
    epochs=6, batch_size=20, optimizer="adamw", learning_rate=0.05, weight_decay=0.0,
    label_smoothing=0.0, validations=3, augment=toy.NO_AUGMENT, balance="none", num_workers=0,
    distill=Distill(weight=0.0, temperature=2.0, last=1.0),
)  # fmt: skip


def split(count: int, seed: int) -> Split:
    """Bright or dark images: easy to learn."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    images = generator.integers(0, 100, (count, 4, 4, 1)) + 150 * labels.reshape(-1, 1, 1, 1)
    return Split(images.astype(np.uint8), labels, ["dark", "bright"], FRAME)


TRAIN, VALIDATION = split(100, 0), split(60, 1)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)
    )


def fit(
    model: nn.Module, recipe: DistilledRecipe = RECIPE, **more: object
) -> list[loop.HistoryRow]:
    return fitted(model, recipe, **{"start": loop.UNTRAINED} | more).rows


def fitted(model: nn.Module, recipe: DistilledRecipe = RECIPE, **more: object) -> loop.Fitted:
    return loop.fit(
        model, TRAIN, VALIDATION, recipe, preprocessing=FRAME, seed=1, phase="test", **more
    )


def test_it_learns_and_keeps_the_best_state() -> None:
    model = network()
    rows = fit(model)
    assert [row.step for row in rows] == [10, 20, 30]
    best = max(row.validation_top1 for row in rows)
    assert best > 90
    assert loop.top1(model, VALIDATION, FRAME) == best


@pytest.mark.parametrize("steps", range(2, 12))
def test_a_run_may_be_as_short_as_it_likes(steps: int) -> None:
    rows = fit(network(), RECIPE.model_copy(update={"epochs": steps / 5, "validations": 1}))
    assert rows[-1].step == steps


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two = network(), network()
    fit(one)
    fit(two)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])


def test_what_is_frozen_stays_with_its_batchnorm_statistics() -> None:
    model = network()
    for module in model[:2]:
        module.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    fit(model)
    after = model.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["3.weight", "3.bias"]


def test_zeros_stay_zero() -> None:
    model = network()
    with torch.no_grad():
        model[0].weight[1:3] = 0
    fit(model)
    assert (model[0].weight[1:3] == 0).all()
    assert (model[0].weight[[0, 3]] != 0).all()


SPOILED = RECIPE.model_copy(update={"distill": Distill(weight=1.0, temperature=1.0, last=1.0)})


def wrong_teacher() -> nn.Module:
    teacher = network()
    fit(teacher)
    with torch.no_grad():
        teacher[3].weight.neg_()
        teacher[3].bias.neg_()
    return teacher


def test_a_teacher_is_listened_to() -> None:
    """A teacher that is always wrong spoils the pupil, if it has all the weight."""
    rows = fit(network(), SPOILED, teacher=wrong_teacher())
    assert max(row.validation_top1 for row in rows) < 50


def test_distillation_loss_is_zero_for_equal_answers() -> None:
    logits = torch.randn(8, 5)
    assert loop.distillation_loss(logits, logits, 3).abs() < 1e-6
    assert loop.distillation_loss(logits, -logits, 3) > 0.1


def test_no_epochs_leave_everything_as_it_was() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    done = fitted(model, RECIPE.model_copy(update={"epochs": 0}))
    assert done.rows == []
    assert done.kept.top1 == loop.top1(model, VALIDATION, FRAME)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())


def test_a_start_that_training_ruins_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    fitted(model)
    before = copy.deepcopy(model.state_dict())
    done = fitted(model, SPOILED, teacher=wrong_teacher())
    assert done.rows[0].step == 0
    assert done.rows[0].validation_top1 == done.kept.top1 == done.start.top1
    assert max(row.validation_top1 for row in done.rows[1:]) < done.kept.top1
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert "training gains nothing" in capsys.readouterr().out


def test_what_training_gains_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    start = loop.measure(model, VALIDATION, FRAME)
    done = fitted(model, start=start)
    assert done.rows[0].step > 0, "a start that is known is not measured again"
    assert done.kept.top1 > start.top1
    told = f"{start.top1:.2f} % before training, and {done.kept.top1:.2f} % after it"
    assert told in capsys.readouterr().out
