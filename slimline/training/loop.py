"""THE training loop: every stage that trains calls `fit`, and none has a loop of its own.

All that differs between stages is data in a `Recipe`; what a stage forbids to change is frozen
before (`requires_grad`). To drive several devices, wrap network, optimizer and loader where `fit`
makes them: nothing outside this function knows them.
"""

import copy
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import TrainingError
from slimline.training import determinism, divergence, loader
from slimline.training import optimizer as optimizers
from slimline.training.losses import Lesson
from slimline.training.settings import Recipe, Selection

_LOG_LINES = 10
"""Lines of progress in a log, where a terminal has a bar."""

_LAYOUT = determinism.MEMORY_FORMAT

_PATIENCE = 20
"""Steps of an accelerator between two looks at its losses."""


@dataclass(frozen=True)
class HistoryRow:
    """A line of a learning curve."""

    phase: str
    step: int
    epoch: float
    learning_rate: float
    train_loss: float
    """Mean since the last row."""
    validation_loss: float
    validation_top1: float
    """Percent."""
    validation_mean_recall: float
    """Percent: the mean over classes, each as if it had as many images as any other."""
    images: int = 0
    """Training images since the phase began, an image counted each time that it is seen."""

    def to_dict(self) -> dict[str, Any]:
        """Return the columns of the tsv."""
        return asdict(self)


@dataclass(frozen=True)
class Score:
    """How a network does on a split."""

    top1: float
    """Percent."""
    loss: float
    """Mean cross-entropy, natural logarithm."""
    mean_recall: float
    """Percent: the mean over classes, each as if it had as many images as any other."""

    def rank(self, by: Selection) -> tuple[float, float]:
        """Return what makes a state better than another."""
        if by == "loss":
            return -self.loss, self.top1
        return self.percent(by), -self.loss

    def percent(self, by: Selection) -> float:
        """Return the figure that is selected by; of a loss, which is no percentage, top-1."""
        return self.mean_recall if by == "mean_recall" else self.top1


UNTRAINED = Score(top1=-math.inf, loss=math.inf, mean_recall=-math.inf)
"""Of a network whose weights are random: whatever training does is better."""


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
) -> Fitted:
    """Train what is not frozen, in place, and return how it went.

    The state that is best on validation, by `recipe.selects`, is kept, be it the one that training
    began with. Weights that are exactly zero stay zero, so that a pruning survives every later
    training. `head` is the prefix of the parameters that classify, where a recipe trains them
    faster than the rest. `after_step(step, steps)` is called after each optimizer step; `score`
    measures in place of `measure`. `start` is the network's score as it is given, or `UNTRAINED`;
    where it is not known it is measured, and the learning curve begins with it, at step 0.

    A recipe of no epochs leaves the network as it is.

    Raises:
        TrainingError: a loss (that of the beginning included), weight, teacher or normalisation is
            not finite.
    """
    divergence.refuse_infinite_normalisation(preprocessing.mean, preprocessing.std)
    divergence.refuse_infinite(network, what=f"{phase}: the network that training begins with")
    device = determinism.device()
    network.to(device, memory_format=_LAYOUT)  # type: ignore[call-overload]
    steps = loader.num_steps(train, recipe)
    rows: list[HistoryRow] = []
    if start is None:
        start = (score or measure)(network, validation, preprocessing)
        rows = [_first_row(phase, start)] if steps else []
    if start is not UNTRAINED:
        divergence.refuse_infinite_loss(start.loss, phase)
    if steps == 0:
        network.to("cpu")
        _set_eval(network)
        return Fitted([], start, start)
    optimizer = optimizers.optimizer(network, recipe, head)
    schedule = optimizers.schedule(optimizer, steps)
    keep_zeros = _zero_keeper(network)
    batches = loader.training_batches(train, preprocessing, recipe, seed=seed)
    lesson = Lesson(train, recipe, teacher, device, steps)
    by = recipe.selects
    best = start, copy.deepcopy(network.state_dict())
    reached: list[Score] = []
    watch = _Watch(phase, steps, schedule, is_patient=device.type != "cpu")
    losses: list[Tensor] = []
    _set_mode(network)
    for step, (images, labels) in enumerate(_with_progress(batches, steps, phase), start=1):
        images, labels = images.to(device, memory_format=_LAYOUT), labels.to(device)
        optimizer.zero_grad()
        loss = lesson.loss(network(images), images, labels, step)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        keep_zeros()
        losses.append(loss.detach())
        watch.see(losses[-1], step)
        if after_step is not None:
            after_step(step, steps)
        if step in _milestones(steps, recipe.validations):
            watch.check(network)
            found = (score or measure)(network, validation, preprocessing)
            watch.check_score(found)
            _set_mode(network)
            rows.append(_row(phase, step, recipe, train, schedule, losses, found))
            losses.clear()
            reached.append(found)
            if found.rank(by) > best[0].rank(by):
                best = found, copy.deepcopy(network.state_dict())
    network.load_state_dict(best[1])
    network.to("cpu")
    _set_eval(network)
    if divergence.explodes([row.train_loss for row in rows]):
        print(f"{phase}: the loss exploded on the way; a lower learning_rate would keep it down")
    print(_told(phase, start, max(reached, key=lambda each: each.rank(by)), by), end="")
    return Fitted(rows, start, best[0])


@torch.no_grad()
def predict(network: nn.Module, split: Split, preprocessing: Preprocessing) -> Tensor:
    """Return the logits of a whole split, float32 [count, classes], on the CPU."""
    device = determinism.device()
    network.to(device, memory_format=_LAYOUT)  # type: ignore[call-overload]
    _set_eval(network)
    batches = loader.fixed_batches(split, preprocessing)
    return torch.cat(
        [network(images.to(device, memory_format=_LAYOUT)).float().cpu() for images, _ in batches]
    )


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


def _zero_keeper(network: nn.Module) -> Callable[[], None]:
    """Return a function that puts back to zero what was zero when training began."""
    kept = [
        (weight, weight.detach() != 0)
        for weight in network.parameters()
        if weight.dim() > 1 and weight.requires_grad and bool((weight == 0).any())
    ]

    @torch.no_grad()
    def keep() -> None:
        for weight, mask in kept:
            weight.mul_(mask)

    return keep


def _set_mode(network: nn.Module) -> None:
    """Put into training mode what is trained: BatchNorm of frozen layers keeps its statistics."""
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        module.training = not own or any(weight.requires_grad for weight in own)


def _set_eval(network: nn.Module) -> None:
    """Leave training mode; module by module, since an exported graph refuses `eval()`."""
    for module in network.modules():
        module.training = False


def _milestones(steps: int, validations: int) -> set[int]:
    return {round(steps * part / validations) for part in range(1, validations + 1)}


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
        if step % self._every == 0:
            self._check_losses()

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
    if start is UNTRAINED:
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
        train_loss=torch.stack(losses).mean().item(),
        validation_loss=score.loss,
        validation_top1=score.top1,
        validation_mean_recall=score.mean_recall,
    )


def _with_progress(batches: Any, steps: int, phase: str) -> Iterator[loader.Batch]:
    """Yield the batches with a bar in a terminal, and with a line now and then in a log."""
    is_terminal = sys.stderr.isatty()
    bar = tqdm(batches, total=steps, desc=phase, unit="step", disable=not is_terminal)
    for step, batch in enumerate(bar, start=1):
        yield batch
        if not is_terminal and step in _milestones(steps, min(steps, _LOG_LINES)):
            print(f"{phase}: step {step} of {steps}", flush=True)
