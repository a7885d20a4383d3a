"""THE training loop: every stage that trains calls `fit`, and none has a loop of its own.

All that differs between stages is data in a `Recipe`; what a stage forbids to change is frozen
before (`requires_grad`). Several processes train together as `slimline.training.processes`
says: each step averages their gradients.
"""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import TrainingError
from slimline.training import checkpoints as saved_states
from slimline.training import (
    determinism,
    divergence,
    loader,
    memory_order,
    processes,
    progress,
)
from slimline.training import optimizer as optimizers
from slimline.training.checkpoints import Checkpoints, TrainingCheckpoints
from slimline.training.losses import Lesson
from slimline.training.run_state import RunState
from slimline.training.scores import UNTRAINED, HistoryRow, Score
from slimline.training.settings import Recipe, Selection
from slimline.training.stepping import Stepper

_PATIENCE = 20
"""Steps of an accelerator between two looks at its losses."""


@dataclass(frozen=True)
class Fitted:
    """What a training run did."""

    rows: list[HistoryRow]
    """The learning curve; empty where there was nothing to train."""
    start: Score
    """Of the state that training began with, on the validation split."""
    kept: Score
    """Of the state that the network is left with: the best, of which the start is one."""


Scorer: TypeAlias = Callable[[nn.Module, Split, Preprocessing], Score]
"""Measures a network on a split."""


def fit(
    network: nn.Module,
    train: Split,
    validation: Split,
    recipe: Recipe,
    *,
    preprocessing: Preprocessing,
    seed: int,
    phase: str,
    head: str = "",
    teacher: nn.Module | None = None,
    after_step: Callable[[int, int], None] | None = None,
    score: Scorer | None = None,
    start: Score | None = None,
    checkpoints: Checkpoints | None = None,
    kept_zeros: Collection[str] = (),
) -> Fitted:
    """Train what is not frozen, in place, and return how it went.

    The state that is best on validation, by `recipe.selects`, is kept, be it the one that training
    began with. `kept_zeros` are the parameters of which what is exactly zero stays zero, so that a
    pruning survives every later training; what a network sets to zero to begin with is none of
    these. `head` is the prefix of the parameters that classify, where a recipe trains them
    faster than the rest. `after_step(step, steps)` is called after each optimizer step; `score`
    measures in place of `measure`. `start` is the network's score as it is given, or `UNTRAINED`;
    where it is not known it is measured, and the learning curve begins with it, at step 0.
    `checkpoints` are those of the stage: a training that was interrupted goes on from there.

    A recipe of no epochs leaves the network as it is.

    Raises:
        TrainingError: a loss (that of the beginning included), weight, teacher or normalisation is
            not finite.
    """
    divergence.refuse_infinite_normalisation(preprocessing.mean, preprocessing.std)
    divergence.refuse_infinite(network, what=f"{phase}: the network that training begins with")
    own = None
    if checkpoints is not None:
        own = checkpoints.of_training(
            phase,
            _decided_by(
                network,
                train,
                validation,
                recipe,
                preprocessing,
                seed,
                head,
                teacher,
                start,
                kept_zeros,
            ),
        )
    device = determinism.device()
    layout = _lay_out(network, preprocessing, device)
    steps = loader.num_steps(train, recipe)
    if steps == 0:
        start = _known(start, network, validation, preprocessing, score or measure, phase)
        network.to("cpu")
        _set_eval(network)
        return Fitted([], start, start)
    optimizer = optimizers.optimizer(network, recipe, head)
    schedule = optimizers.schedule(optimizer, steps)
    keep_zeros = _zero_keeper(network, kept_zeros)
    lesson = Lesson(train, recipe, teacher, device, steps)
    by = recipe.selects
    stepper = Stepper(network, optimizer, lesson, recipe)
    run = RunState(network, optimizer, schedule, steps=steps, by=by, average=stepper.average)
    common = processes.random_in_common()
    if not _went_on(run, own, phase):
        run.begin(_known(start, network, validation, preprocessing, score or measure, phase))
        run.rows = [_first_row(phase, run.start)] if start is None else []
    batches = loader.training_batches(
        train, preprocessing, recipe, seed=seed, done=run.step, device=device
    )
    milestones = progress.milestones(steps, recipe.validations)
    watch = _Watch(phase, steps, schedule, is_patient=device.type != "cpu")
    _set_mode(network)
    processes.begin_own_random(seed, done=run.step)
    for step, (images, labels) in progress.steps_of(batches, run, recipe, phase):
        loss = stepper.take(images.to(memory_format=layout), labels, step)
        run.add_loss(loss)
        schedule.step()
        keep_zeros()
        processes.average(_statistics(network))
        run.step = step
        watch.see(loss, step)
        if after_step is not None:
            after_step(step, steps)
        stepper.follow()
        if step in milestones:
            watch.check(network)
            found = (score or measure)(stepper.judged, validation, preprocessing)
            watch.check_score(found)
            _set_mode(network)
            run.rows.append(_row(phase, step, recipe, train, schedule, run.losses, found))
            run.losses.clear()
            run.judge(found)
        if own is not None and (run.has_ended or (watch.looks(step) and own.is_due)):
            watch.check(network)
            own.save(run.save(), step=step, is_last=run.has_ended)
    processes.end_own_random(common)
    network.load_state_dict(run.best[1])
    network.to("cpu")
    _set_eval(network)
    if divergence.explodes([row.train_loss for row in run.rows]):
        print(f"{phase}: the loss exploded on the way; a lower learning_rate would keep it down")
    assert run.reached is not None, "the last step is a milestone"
    print(_told(phase, run.start, run.reached, by), end="")
    return Fitted(run.rows, run.start, run.best[0])


def _known(
    start: Score | None,
    network: nn.Module,
    validation: Split,
    preprocessing: Preprocessing,
    score: Scorer,
    phase: str,
) -> Score:
    """Return the score that training begins with, measured where it is not known.

    Raises:
        TrainingError: its loss is not finite.
    """
    found = score(network, validation, preprocessing) if start is None else start
    if found is not UNTRAINED:
        divergence.refuse_infinite_loss(found.loss, phase)
    return found


def _went_on(run: RunState, own: TrainingCheckpoints | None, phase: str) -> bool:
    """Restore what the last checkpoint saved, and say so; return whether there is one."""
    saved = None if own is None else own.load()
    if saved is None:
        return False
    run.restore(saved)
    where = "is done" if run.has_ended else f"goes on from step {run.step} of {run.steps}"
    print(f"{phase}: an interrupted training {where}", flush=True)
    return True


def _decided_by(
    network: nn.Module,
    train: Split,
    validation: Split,
    recipe: Recipe,
    preprocessing: Preprocessing,
    seed: int,
    head: str,
    teacher: nn.Module | None,
    start: Score | None,
    kept_zeros: Collection[str],
) -> dict[str, Any]:
    """Return what decides the result of a training, beside the code, settings and machine."""
    trained = [name for name, weight in network.named_parameters() if weight.requires_grad]
    return {
        "network": saved_states.digest(network.state_dict()),
        "trained": trained,
        "teacher": saved_states.digest(teacher.state_dict()) if teacher else None,
        "data": [train.stored, validation.stored],
        "recipe": recipe.model_dump(mode="json", exclude={"num_workers"}),
        "preprocessing": preprocessing.to_dict(),
        "seed": seed,
        "head": head,
        "kept_zeros": sorted(kept_zeros),
        "start": asdict(start) if start else None,
        "random": saved_states.digest({"torch": torch.get_rng_state()}),
    }


@torch.no_grad()
def predict(network: nn.Module, split: Split, preprocessing: Preprocessing) -> Tensor:
    """Return the logits of a whole split, float32 [count, classes], on the CPU."""
    device = determinism.device()
    layout = _lay_out(network, preprocessing, device)
    rank, count = processes.rank(), processes.count()
    batches = loader.fixed_batches(split, preprocessing, rank=rank, count=count, device=device)
    parts = [network(images.to(memory_format=layout)).float().cpu() for images, _ in batches]
    if count == 1:
        return torch.cat(parts)
    logits = torch.zeros(len(split), len(split.classes))
    for batch, rows in zip(parts, loader.rows_of(split, rank=rank, count=count), strict=True):
        logits[rows] = batch
    return processes.total(logits)


def _lay_out(
    network: nn.Module, preprocessing: Preprocessing, device: torch.device
) -> torch.memory_format:
    """Bring a network to a device, in evaluation mode; return the order of bytes it is run in."""
    determinism.allow_tf32(False)  # of itself torch begins with it, where no stage was begun
    network.to(device)
    _set_eval(network)
    frame = preprocessing
    images = torch.zeros(2, frame.channels, frame.height, frame.width, device=device)
    layout = memory_order.of(network, images)
    network.to(memory_format=layout)
    return layout


def measure(network: nn.Module, split: Split, preprocessing: Preprocessing) -> Score:
    """Return accuracy and loss of a network on a whole split."""
    return score_of(predict(network, split, preprocessing), torch.from_numpy(split.labels))


def score_of(logits: Tensor, labels: Tensor) -> Score:
    """Return accuracy and loss of logits, float32 [count, classes], and labels [count]."""
    correct = int((logits.argmax(1) == labels).sum())
    return Score(
        100 * correct / len(labels),
        functional.cross_entropy(logits, labels).item(),
        _mean_recall(logits.argmax(1), labels),
    )


def _mean_recall(answers: Tensor, labels: Tensor) -> float:
    """Return the mean, percent, of the recalls of the classes that there are images of."""
    counts = torch.bincount(labels)
    right = torch.bincount(labels[answers == labels], minlength=len(counts))
    present = counts > 0
    return 100 * float((right[present].double() / counts[present]).mean())


def top1(network: nn.Module, split: Split, preprocessing: Preprocessing) -> float:
    """Return the percentage of a split's images that a network gets right."""
    return measure(network, split, preprocessing).top1


def _zero_keeper(network: nn.Module, names: Collection[str]) -> Callable[[], None]:
    """Return a function that puts back to zero what of some parameters was zero at the start."""
    wanted = frozenset(names)
    kept = [
        (weight, weight.detach() != 0)
        for name, weight in network.named_parameters()
        if name in wanted
        and weight.dim() > 1
        and weight.requires_grad
        and bool((weight == 0).any())
    ]

    @torch.no_grad()
    def keep() -> None:
        for weight, mask in kept:
            weight.mul_(mask)

    return keep


def _statistics(network: nn.Module) -> Iterator[Tensor]:
    """Yield what BatchNorm learns of images; what is frozen learns nothing."""
    for module in network.modules():
        if module.training:
            yield from (
                each
                for name, each in module.named_buffers(recurse=False)
                if name in {"running_mean", "running_var"}
            )


def _set_mode(network: nn.Module) -> None:
    """Put into training mode what is trained: BatchNorm of frozen layers keeps its statistics.

    One without parameters of its own goes by the layer before it.
    """
    is_trained = all(weight.requires_grad for weight in list(network.parameters())[:1])
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if own:
            is_trained = any(weight.requires_grad for weight in own)
        has_statistics = getattr(module, "running_mean", None) is not None
        module.training = is_trained if own or has_statistics else True


def _set_eval(network: nn.Module) -> None:
    """Leave training mode; module by module, since an exported graph refuses `eval()`."""
    for module in network.modules():
        module.training = False


class _Watch:
    """Ends a run at the first loss or weight that is not finite.

    Asking an accelerator for each loss would make it wait: there it is done now and then.
    """

    def __init__(self, phase: str, steps: int, schedule: OneCycleLR, *, is_patient: bool) -> None:
        self._phase, self._steps, self._schedule = phase, steps, schedule
        self._every = _PATIENCE if is_patient else 1
        self._seen: list[Tensor] = []
        self._last = 0

    def see(self, loss: Tensor, step: int) -> None:
        self._seen.append(loss)
        self._last = step
        if self.looks(step):
            self._check_losses()

    def looks(self, step: int) -> bool:
        """Return whether this is a step at which the device may be waited for."""
        return step % self._every == 0

    def check(self, network: nn.Module) -> None:
        self._check_losses()
        try:
            divergence.refuse_infinite(network, what="the network")
        except TrainingError:
            self._end(self._last, "weights are not finite any more")

    def check_score(self, found: Score) -> None:
        if not math.isfinite(found.loss):
            self._end(self._last, f"the loss on validation is {found.loss}")

    def _check_losses(self) -> None:
        place = divergence.first_infinite(self._seen) if self._seen else None
        if place is not None:
            step = self._last - len(self._seen) + 1 + place
            self._end(step, f"the loss is {self._seen[place].item()}")
        self._seen.clear()

    def _end(self, step: int, what: str) -> NoReturn:
        rate = float(self._schedule.get_last_lr()[0])
        raise divergence.error(
            self._phase, step=step, steps=self._steps, rate=rate, what=what
        ) from None


def _told(phase: str, start: Score, best: Score, by: Selection) -> str:
    """Say what training gained or lost; nothing of weights that were random before."""
    if start == UNTRAINED:
        return ""
    name = "mean recall" if by == "mean_recall" else "top-1"
    before, after = f"{start.percent(by):.2f} %", f"{best.percent(by):.2f} %"
    if best.percent(by) <= start.percent(by):
        kept = "; the state before it is kept" if start.rank(by) >= best.rank(by) else ""
        return (
            f"{phase}: training gains nothing: {name} on validation is {before} before it, and "
            f"{after} at best{kept}\n"
        )
    return f"{phase}: {name} on validation is {before} before training, and {after} after it\n"


def _first_row(phase: str, start: Score) -> HistoryRow:
    return HistoryRow(
        phase=phase,
        step=0,
        epoch=0.0,
        learning_rate=0.0,
        train_loss=math.nan,
        validation_loss=start.loss,
        validation_top1=start.top1,
        validation_mean_recall=start.mean_recall,
    )


def _row(
    phase: str,
    step: int,
    recipe: Recipe,
    train: Split,
    schedule: OneCycleLR,
    losses: list[Tensor],
    score: Score,
) -> HistoryRow:
    return HistoryRow(
        phase=phase,
        step=step,
        epoch=step * recipe.batch_size / len(train),
        images=step * recipe.batch_size,
        learning_rate=float(schedule.get_last_lr()[0]),
        train_loss=torch.cat(losses).mean().item(),
        validation_loss=score.loss,
        validation_top1=score.top1,
        validation_mean_recall=score.mean_recall,
    )
