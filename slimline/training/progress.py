"""What a training says of itself: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from slimline.training import processes

if TYPE_CHECKING:
    from slimline.training.loader import Batch
    from slimline.training.run_state import RunState
    from slimline.training.settings import Recipe

_LINES = 10
"""Lines of a training in a log, where a terminal has a bar."""


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
    bar = tqdm(
        batches,
        total=run.steps,
        initial=run.step,
        desc=phase,
        unit="step",
        disable=not is_terminal,
    )
    for step, batch in enumerate(bar, start=run.step + 1):
        yield step, batch
        if step not in told:
            continue
        if is_terminal:
            bar.set_postfix_str(figures(run))
        else:
            seconds = (time.monotonic() - begun) / (step - first)
            print(
                f"{phase}: step {step} of {run.steps}: {figures(run)}, "
                f"{speed(seconds, recipe.batch_size, left=run.steps - step)}",
                flush=True,
            )


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
