import copy
import math

import numpy as np
import pytest
import torch
import toy
from torch import nn

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import TrainingError
from slimline.training import divergence, loop
from slimline.training.settings import Distill, DistilledRecipe

FRAME = Preprocessing(4, 4, 1, mean=(0.5,), std=(0.5,))
RECIPE = DistilledRecipe(
    epochs=6, batch_size=20, optimizer="adamw", learning_rate=0.05, weight_decay=0.0,
    label_smoothing=0.0, validations=3, augment=toy.NO_AUGMENT, step=toy.PLAIN_STEP, balance="none",
    select_by="auto", num_workers=0,
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
    fit(model, kept_zeros=["0.weight"])
    assert (model[0].weight[1:3] == 0).all()
    assert (model[0].weight[[0, 3]] != 0).all()


def test_what_begins_at_zero_learns() -> None:
    """As the heads of torchvision's Vision Transformers do, and gains of residual branches."""
    model = network()
    nn.init.zeros_(model[3].weight)
    rows = fit(model)
    assert model[3].weight.abs().max() > 0
    assert rows[-1].validation_top1 > 90


def test_a_frozen_normalisation_without_parameters_keeps_its_statistics() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False), nn.Flatten(),
        nn.Linear(16, 2),
    )  # fmt: skip
    model[0].requires_grad_(False)
    fit(model)
    assert torch.equal(model[1].running_mean, torch.zeros(4))
    model[0].requires_grad_(True)
    fit(model)
    assert not torch.equal(model[1].running_mean, torch.zeros(4))


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


def spoiled(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        model[3].bias[0] = torch.nan
    return model


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_network_that_is_not_finite_is_not_trained(epochs: float) -> None:
    with pytest.raises(
        TrainingError, match=r"begins with has weights that are not finite: 3\.bias"
    ):
        fit(spoiled(network()), RECIPE.model_copy(update={"epochs": epochs}))


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("select_by", ["top1", "loss"])
def test_answers_that_overflow_are_no_beginning(select_by: str, epochs: float) -> None:
    """Every weight is finite; compared with a loss of nan no state would be better."""
    model = network()
    with torch.no_grad():
        model[1].running_var.fill_(1e-30)
        model[1].weight.fill_(1e38)
        model[1].eps = 0.0
    recipe = RECIPE.model_copy(update={"epochs": epochs, "select_by": select_by})
    with pytest.raises(TrainingError, match=r"begins with has a loss of (nan|inf) on validation"):
        fit(model, recipe, start=None)


def test_a_teacher_that_is_not_finite_is_not_asked() -> None:
    with pytest.raises(TrainingError, match="the teacher has weights that are not finite"):
        fit(network(), SPOILED, teacher=spoiled(network()))


def test_a_rate_at_which_training_diverges_is_told_at_once() -> None:
    steep = RECIPE.model_copy(update={"learning_rate": 1e30, "optimizer": "sgd"})
    with pytest.raises(TrainingError) as ended:
        fit(network(), steep)
    told = str(ended.value)
    assert told.startswith("test: training diverged at step ")
    assert int(told.split(" step ")[1].split()[0]) < 6
    assert "the loss is" in told
    assert "try a tenth of learning_rate" in told


def test_weights_that_the_last_step_spoils_are_seen() -> None:
    model = network()

    def spoil(step: int, steps: int) -> None:
        if step == steps:
            spoiled(model)

    with pytest.raises(TrainingError, match="step 30 of 30: weights are not finite any more"):
        fit(model, after_step=spoil)


def test_a_std_of_0_is_refused() -> None:
    flat = Preprocessing(4, 4, 1, mean=(0.5,), std=(0.0,))
    with pytest.raises(TrainingError, match="each std must be above 0"):
        loop.fit(network(), TRAIN, VALIDATION, RECIPE, preprocessing=flat, seed=1, phase="test")


@pytest.mark.parametrize(
    ("losses", "is_told"),
    [([2.3, 1.0, 0.5], False), ([math.nan, 2.3, 1.0], False), ([0.5, 1.4], False),
     ([0.5, 40.0, 0.4], True), ([2.3, 0.1, 0.31], True), ([], False)],
)  # fmt: skip
def test_a_loss_that_explodes(losses: list[float], is_told: bool) -> None:
    assert divergence.explodes(losses) == is_told


def uneven(count: int, *, rare: int) -> Split:
    """Images of 16 grey levels, the rare class brighter on average: no line tells all of them."""
    generator = np.random.default_rng(3)
    labels = np.repeat([0, 1], [count, rare])
    levels = generator.normal(110 + 40 * labels, 25).clip(0, 255)
    images = levels.reshape(-1, 1, 1, 1) + generator.normal(0, 5, (len(labels), 4, 4, 1))
    return Split(images.clip(0, 255).astype(np.uint8), labels, ["often", "rare"], FRAME)


@pytest.mark.parametrize(("rare", "least"), [(500, 60), (50, 30), (5, 0)])
def test_balanced_weights_answer_both_classes_despite_smoothing(rare: int, least: int) -> None:
    """1:10, 1:100 and 1:1000: with torch's own weights all are called rare from 1:100 on."""
    train, judged = uneven(5000, rare=rare), uneven(300, rare=300)
    recipe = RECIPE.model_copy(
        update={"balance": "weights", "label_smoothing": 0.1, "batch_size": 50, "epochs": 1}
    )
    model = network()
    loop.fit(model, train, judged, recipe, preprocessing=FRAME, seed=1, phase="test",
             start=loop.UNTRAINED)  # fmt: skip
    answers = loop.predict(model, judged, FRAME).argmax(1).numpy()
    recalls = [100 * (answers[judged.labels == each] == each).mean() for each in (0, 1)]
    assert recalls[0] > 60, recalls
    assert recalls[1] > least, recalls


RECALLS = loop.Score(top1=99.0, loss=0.3, mean_recall=50.0), loop.Score(88.0, 0.5, 64.0)


@pytest.mark.parametrize(
    ("select_by", "balance", "best"),
    [("auto", "none", 0), ("auto", "weights", 1), ("auto", "sampler", 1), ("top1", "weights", 0),
     ("mean_recall", "none", 1), ("loss", "weights", 0)],
)  # fmt: skip
def test_what_selects_a_state(select_by: str, balance: str, best: int) -> None:
    recipe = RECIPE.model_copy(
        update={"select_by": select_by, "balance": balance, "validations": 2}
    )
    scores = iter(RECALLS)
    states = []

    def score(model: nn.Module, *_: object) -> loop.Score:
        states.append(copy.deepcopy(model.state_dict()))
        return next(scores)

    model = network()
    done = fitted(model, recipe, start=loop.UNTRAINED, score=score)
    assert done.kept == RECALLS[best]
    assert torch.equal(model.state_dict()["3.weight"], states[best]["3.weight"])


def test_mean_recall_counts_every_class_alike() -> None:
    rare = uneven(90, rare=10)
    constant = network()
    with torch.no_grad():
        constant[3].weight.zero_()
        constant[3].bias.copy_(torch.tensor([1.0, 0.0]))
    found = loop.measure(constant, rare, FRAME)
    assert (found.top1, found.mean_recall) == (90.0, 50.0)


def test_an_accelerator_is_asked_now_and_then_and_the_right_step_is_told() -> None:
    optimizer = torch.optim.SGD(network().parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=100)
    watch = loop._Watch("test", 100, schedule, is_patient=True)
    for step in range(1, 26):
        watch.see(torch.tensor(1.0), step)
    watch.see(torch.tensor(torch.inf), 26)
    watch.see(torch.tensor(torch.nan), 27)
    with pytest.raises(TrainingError, match="step 26 of 100: the loss is inf"):
        watch.check(network())


def test_a_validation_loss_that_is_not_finite_ends_it() -> None:
    with pytest.raises(TrainingError, match="step 10 of 30: the loss on validation is nan"):
        fit(network(), score=lambda *_: loop.Score(50.0, math.nan, 50.0))


class Viewing(nn.Module):
    """As PyTorch's tutorials have it: `view` wants the memory in the order of the dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(16, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv(images).relu()
        return self.head(x.view(x.size(0), -1))


class Joining(Viewing):
    """Takes groups of channels for images, which shows with two images or more."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv(images).relu()
        return self.head(x.view(2 * x.size(0), 2, 2, 2).reshape(x.size(0), -1))


@pytest.mark.parametrize("kind", [Viewing, Joining])
def test_a_network_that_views_its_maps_is_trained_and_teaches(kind: type[Viewing]) -> None:
    distill = Distill(weight=0.5, temperature=2.0, last=1.0)
    recipe = RECIPE.model_copy(update={"distill": distill})
    assert fit(kind(), recipe, teacher=kind())[-1].validation_top1 > 90
    assert fit(network(), recipe, teacher=kind())[-1].validation_top1 > 90
