"""Takes figures from a training, one JSON object a line, and hands them to one tool.

Its arguments are the names of the tool and of the stage.
"""

import json
import signal
import sys
from importlib import import_module

_FAREWELL = 5
"""Seconds for the last figures of a training that was killed; then nothing of it is left."""


def main(tool: str, stage: str) -> None:
    """Hand on what comes in until the training says that it has ended, or its pipe breaks."""
    # Ctrl-C is for the training; what it still has to say is taken.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module = import_module(f"slimline.training.watchers.{tool}")
    run = None
    for line in sys.stdin:
        event = json.loads(line)
        if event["ends"]:
            break
        if run is None:
            run = module.Run(stage, goes_on=event["goes_on"])
        for name, value in event["figures"].items():
            run.add(f"{event['phase'].replace(' ', '_')}/{name}", value, event["step"])
        run.end_step()
    else:
        signal.alarm(_FAREWELL)
    if run is not None:
        run.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
