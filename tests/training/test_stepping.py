"""What each setting of `training.step` does to a training."""

from typing import Any

import pytest
import torch
import toy
from torch import nn
from training.test_checkpoints import FRAME, TRAIN, VALIDATION

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import ParamsError
from slimline.training import determinism, loop, losses, optimizer, stepping
from slimline.training.scores import UNTRAINED, Score
from slimline.training.settings import Distill, Recipe, TransferRecipe

PLAIN: dict[str, Any] = {
    "epochs": 1.2, "batch_size": 20, "optimizer": "sgd", "learning_rate": 0.05,
    "weight_decay": 0.01, "label_smoothing": 0.0, "validations": 1, "augment": toy.NO_AUGMENT,
    "balance": "none", "select_by": "auto", "num_workers": 0,
}  # fmt: skip
ALL = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))


def recipe(**step: Any) -> Recipe:
    return Recipe(**PLAIN, step=toy.PLAIN_STEP.model_copy(update=step))


def linear() -> nn.Sequential:
    """Without BatchNorm, which sees parts of a batch otherwise than the whole."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2))


def train(
    settings: Recipe, frame: Preprocessing = FRAME
) -> tuple[nn.Module, list[list[torch.Tensor]], loop.Fitted]:
    """Return the network, its weights after each step, and what training did."""
    model, seen = linear(), []

    def note(_: int, __: int) -> None:
        seen.append([each.detach().clone() for each in model.parameters()])

    done = loop.fit(
        model, TRAIN, VALIDATION, settings, preprocessing=frame, seed=1, phase="test",
        start=UNTRAINED, after_step=note,
    )  # fmt: skip
    return model, seen, done


def distance(some: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    pairs = zip(some, others, strict=True)
    return float(torch.stack([(one - other).detach().norm() for one, other in pairs]).norm())


@pytest.mark.parametrize("parts", [2, 3, 50])
def test_parts_of_a_batch_make_the_same_step(parts: int) -> None:
    """Three parts of 20 images are 7, 7 and 6, and count by their number."""
    whole, _, done = train(recipe())
    model, _, same = train(recipe(accumulate=parts))
    weights = list(model.parameters())
    assert distance(weights, list(whole.parameters())) < 1e-4
    assert same.rows[-1].train_loss == pytest.approx(done.rows[-1].train_loss, abs=1e-5)


def test_a_long_gradient_is_clipped() -> None:
    begun = [each.detach() for each in linear().parameters()]
    longest = 1e-3
    _, plain, _ = train(recipe())
    _, clipped, _ = train(recipe(clip_norm=longest))
    rate = PLAIN["learning_rate"] / 25  # what one cycle begins with
    decayed = rate * PLAIN["weight_decay"] * distance(begun, [0 * each for each in begun])
    nesterov = 2
    assert distance(clipped[0], begun) < nesterov * (rate * longest + decayed) * 1.01
    assert distance(plain[0], begun) > 10 * distance(clipped[0], begun)


def test_the_average_of_the_weights_is_kept() -> None:
    share = 0.8
    model, seen, _ = train(recipe(ema=share))
    average = seen[0]
    for weights in seen[1:]:
        pairs = zip(average, weights, strict=True)
        average = [share * one + (1 - share) * other for one, other in pairs]
    assert distance(list(model.parameters()), average) < 1e-5
    assert distance(seen[-1], average) > 1e-3


@pytest.mark.parametrize("decay_all", [True, False])
def test_biases_and_norms_decay_or_not(decay_all: bool) -> None:
    step = toy.PLAIN_STEP.model_copy(update={"decay_all": decay_all})
    settings = TransferRecipe(
        **PLAIN, step=step, backbone_rate=0.5,
        distill=Distill(weight=0.0, temperature=1.0, last=1.0),
    )  # fmt: skip
    groups = optimizer.optimizer(ALL, settings, "3.").param_groups
    decays = {
        weight.dim() > 1: group["weight_decay"] for group in groups for weight in group["params"]
    }
    assert decays == {True: 0.01, False: 0.01 if decay_all else 0.0}
    assert sum(len(group["params"]) for group in groups) == len(list(ALL.parameters()))
    assert sorted({group["initial_lr"] if "initial_lr" in group else group["lr"]
                   for group in groups}) == [0.025, 0.05]  # fmt: skip


def test_bfloat16_computes_coarsely_and_keeps_weights_in_float32() -> None:
    exact, _, done = train(recipe())
    model, _, coarse = train(recipe(precision="bfloat16"))
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    apart = distance(list(model.parameters()), list(exact.parameters()))
    assert 1e-5 < apart < 0.1
    assert coarse.rows[-1].train_loss != done.rows[-1].train_loss
    assert coarse.kept.top1 > 85


def test_the_loss_is_exact_whatever_the_network_computes_in() -> None:
    """In bfloat16 a softened loss was 3 % off, and weights of classes 0.2 %."""
    model, teacher, seen = linear(), linear(), []
    for network in (model, teacher):
        network[3].register_forward_hook(lambda _, __, made: seen.append(made.dtype))

    def loss(self: losses.Lesson, logits: torch.Tensor, *others: Any) -> torch.Tensor:
        seen.append(logits.dtype)
        seen.append(torch.is_autocast_enabled("cpu"))
        return grade(self, logits, *others)

    grade, coarse = losses.Lesson.loss, {"precision": "bfloat16"}
    softened = Distill(weight=0.5, temperature=2.0, last=1.0)
    settings = TransferRecipe(
        **PLAIN, step=toy.PLAIN_STEP.model_copy(update=coarse), backbone_rate=1, distill=softened
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(losses.Lesson, "loss", loss)
        patched.setattr(losses, "distillation_loss", record_types(seen, losses.distillation_loss))
        loop.fit(
            model, TRAIN, VALIDATION, settings, preprocessing=FRAME, seed=1, phase="test",
            teacher=teacher, start=UNTRAINED,
        )  # fmt: skip
    # The answer, what is graded, the teacher's answer, and both where they are compared.
    of_step = [
        torch.bfloat16, torch.float32, False, torch.bfloat16, torch.float32, torch.float32
    ]  # fmt: skip
    of_validation = 2
    assert seen[-of_validation - len(of_step) : -of_validation] == of_step


def record_types(seen: list[Any], function: Any) -> Any:
    def recording(logits: torch.Tensor, answers: torch.Tensor, temperature: float) -> torch.Tensor:
        seen.extend([logits.dtype, answers.dtype])
        return function(logits, answers, temperature)

    return recording


def test_a_precision_that_a_machine_does_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(precision: str, device: str) -> str:
        step = toy.PLAIN_STEP.model_copy(update={"precision": precision})
        with pytest.raises(ParamsError) as told:
            stepping._refuse_missing(step, device)
        return str(told.value).partition("precision: ")[2]

    assert refused("tf32", "cpu") == (
        "this machine's cpu has no tf32: float32 or bfloat16 (given tf32)"
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert refused("tf32", "cuda") == "Tesla V100 has no tf32: float32 (given tf32)"
    assert refused("bfloat16", "cuda") == "Tesla V100 has no bfloat16: float32 (given bfloat16)"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    stepping._refuse_missing(toy.PLAIN_STEP.model_copy(update={"precision": "tf32"}), "cuda")


def test_only_steps_multiply_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it needs a GPU: torch keeps for both kinds of product what it would be there."""
    seen = []
    monkeypatch.setattr(stepping, "_refuse_missing", lambda *_: None)

    def measure(network: nn.Module, split: Split, frame: Preprocessing) -> Score:
        seen.append(torch.backends.cudnn.allow_tf32)
        return loop.measure(network, split, frame)

    def look(layer: nn.Module, _: Any, __: Any) -> None:
        if layer.training:
            seen.append(torch.backends.cudnn.allow_tf32)

    model = linear()
    model[0].register_forward_hook(look)
    determinism.allow_tf32(True)  # as torch itself begins
    loop.fit(
        model, TRAIN, VALIDATION, recipe(precision="tf32"), preprocessing=FRAME, seed=1,
        phase="test", score=measure,
    )  # fmt: skip
    steps = 12
    assert seen == [False, *[True] * steps, False]


def test_the_average_has_what_is_done_after_a_step() -> None:
    """As the ranges of QAT, which are brought to those of all processes then."""
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 2))
    seen = []

    def mark(step: int, _: int) -> None:
        model[1].running_var.fill_(step)  # type: ignore[operator, union-attr]

    def measure(network: nn.Module, split: Split, frame: Preprocessing) -> Score:
        seen.append(float(network[1].running_var[0]))  # type: ignore[index]
        return loop.measure(network, split, frame)

    loop.fit(
        model, TRAIN, VALIDATION, recipe(ema=0.5), preprocessing=FRAME, seed=1, phase="test",
        start=UNTRAINED, after_step=mark, score=measure,
    )  # fmt: skip
    assert seen == [12]


@pytest.mark.slow
def test_each_of_many_trainings_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch leaves the ninth network of a kind as it is; rounds of pruning have more."""
    compiled = []

    def count(graph: torch.fx.GraphModule, _: Any) -> torch.fx.GraphModule:
        compiled[-1] += 1
        return graph

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: real(network, backend=count))
    for width in range(2, 13):
        compiled.append(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 2))
        loop.fit(
            model, TRAIN, VALIDATION, recipe(compile=True), preprocessing=FRAME, seed=1,
            phase="test", start=UNTRAINED,
        )  # fmt: skip
    assert all(compiled)


@pytest.mark.slow
def test_compiled_kernels_make_the_same_steps() -> None:
    exact, _, _ = train(recipe())
    model, _, _ = train(recipe(compile=True))
    assert distance(list(model.parameters()), list(exact.parameters())) < 1e-3
