"""Takes figures from a training, one JSON object a line, and hands them to one tool.

Its arguments are the names of the tool and of the stage.
"""

import json
import signal
import sys
from importlib import import_module

from slimline import files
from slimline.training import watchers

_FAREWELL = 5
"""Seconds for the last figures of a training that was killed; then nothing of it is left."""


def main(tool: str, stage: str) -> None:
    """Hand on what comes in until the training says that it has ended, or its pipe breaks."""
    # Ctrl-C is for the training; what it still has to say is taken.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module = import_module(f"slimline.training.watchers.{tool}")
    run, is_done = None, False
    for line in sys.stdin:
        event = json.loads(line)
        if event["ends"]:
            is_done = event["is_done"]
            break
        if run is None:
            run = module.Run(stage, goes_on=event["goes_on"])
            shown = _Shown(tool, stage, goes_on=event["goes_on"] and run.adds)
        if shown.has(event["phase"], event["step"]):
            continue
        for name, value in event["figures"].items():
            run.add(f"{event['phase'].replace(' ', '_')}/{name}", value, event["step"])
        run.end_step()
        shown.add(event["phase"], event["step"])
    else:
        signal.alarm(_FAREWELL)
    if run is not None:
        run.close()
        if is_done:
            shown.forget()


class _Shown:
    """The last step of each phase that a tool was told of; some are made again after a crash."""

    def __init__(self, tool: str, stage: str, *, goes_on: bool) -> None:
        self._path = watchers.FOLDER / f".{tool}.{stage}.json"
        self._last = files.read_json(self._path) if goes_on and self._path.is_file() else {}

    def has(self, phase: str, step: int) -> bool:
        """Return whether a step was told before; of step 0 there is nothing to tell."""
        return step <= int(self._last.get(phase, 0))

    def add(self, phase: str, step: int) -> None:
        """Know that a step was told."""
        self._last[phase] = step
        watchers.FOLDER.mkdir(exist_ok=True)
        files.write_json(self._path, self._last)

    def forget(self) -> None:
        """Know of nothing: of a stage that is done no step is made again."""
        self._path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
