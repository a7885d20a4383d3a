"""What a training says of itself: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from slimline.training import processes, watching

if TYPE_CHECKING:
    from slimline.training.loader import Batch
    from slimline.training.run_state import RunState
    from slimline.training.settings import Recipe

_LINES = 10
"""Lines of a training in a log, where a terminal has a bar."""

_LONGEST = 300
"""Seconds without a line in a log, however long the training."""

_SECONDS = 1
"""Between two figures for whoever watches; asking an accelerator for a loss makes it wait."""


def milestones(steps: int, count: int) -> set[int]:
    """Return so many steps, evenly over a run, the last one among them."""
    return {round(steps * part / count) for part in range(1, count + 1)}


def steps_of(
    batches: Any, run: RunState, recipe: Recipe, phase: str
) -> Iterator[tuple[int, Batch]]:
    """Yield the steps that are left with their batches, and say how far the training is."""
    is_terminal = sys.stderr.isatty() and processes.rank() == 0
    told = milestones(run.steps, min(run.steps, _LINES))
    begun, first = time.monotonic(), run.step
    said = begun
    bar = tqdm(
        batches,
        total=run.steps,
        initial=run.step,
        desc=phase,
        unit=" images",
        unit_scale=recipe.batch_size,
        disable=not is_terminal,
    )
    watched = _Watched(run, recipe.batch_size, phase)
    for step, batch in enumerate(bar, start=run.step + 1):
        yield step, batch
        watched.follow()
        waits = _SECONDS if is_terminal else _LONGEST
        if step not in told and time.monotonic() - said < waits:
            continue
        said = time.monotonic()
        if is_terminal:
            bar.set_postfix_str(figures(run))
        else:
            seconds = (time.monotonic() - begun) / (step - first)
            print(
                f"{phase}: step {step} of {run.steps}: {figures(run)}, "
                f"{speed(seconds, recipe.batch_size, left=run.steps - step)}",
                flush=True,
            )


class _Watched:
    """Tells whoever watches how a training goes: now and then, and what each validation found."""

    def __init__(self, run: RunState, batch_size: int, phase: str) -> None:
        self._run, self._batch_size, self._phase = run, batch_size, phase
        self._time, self._step = time.monotonic(), run.step
        if watching.is_on():
            watching.tell(phase, run.step, {}, goes_on=run.step > 0)

    def follow(self) -> None:
        """Know that a step was done, and what belongs to it."""
        run, seconds = self._run, time.monotonic() - self._time
        has_validated = bool(run.rows) and run.rows[-1].step == run.step
        if not watching.is_on() or not (has_validated or run.has_ended or seconds >= _SECONDS):
            return
        figures = {
            "loss": run.last_loss,
            "learning_rate": float(run.schedule.get_last_lr()[0]),
            "images_per_s": (run.step - self._step) * self._batch_size / seconds,
        }
        if has_validated:
            figures |= {
                "validation_loss": run.rows[-1].validation_loss,
                "validation_top1": run.rows[-1].validation_top1,
                "validation_mean_recall": run.rows[-1].validation_mean_recall,
            }
        watching.tell(self._phase, run.step, figures)
        self._time, self._step = time.monotonic(), run.step


def figures(run: RunState) -> str:
    """Return the loss of the last step, and what the last validation found, if there was one."""
    found = f"loss {run.last_loss:.3f}"
    rows = [row for row in run.rows if row.step > 0]
    return f"{found}, validation {rows[-1].validation_top1:.2f} %" if rows else found


def speed(seconds: float, batch_size: int, *, left: int) -> str:
    """Return images per second and the time left, at so many seconds a step with validation."""
    minutes, rest = divmod(round(left * seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        time_left = f"{hours} h {minutes} min"
    else:
        time_left = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{batch_size / seconds:.0f} images/s, {time_left} left"
