"""Say whether a network goes the whole way, or whether this machine and installation will do.

With a name, as `backbone` in params.yaml takes it, the network is built with random weights and
goes the whole way on images of noise: a step of training, pruning to 68.5 % of its multiply-
accumulates, back from its folder, ONNX, two steps of quantization-aware training, the int8 file,
checked as the pipeline checks it, and its time against float. Each step says what it found, or in
a sentence why not. That takes a minute or two, and no data. Settings are those of params.yaml.

Without a name: Python, packages against their pins, what the CPU has for int8, accelerator.

Exit 1 if something does not hold.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimline.doctor.finding import Finding


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="a network, as torchvision:regnet_x_400mf")
    parser.add_argument(
        "--size",
        type=_at_least(8),
        help="pixels of a square image (the first of 64, 96, 224 that it takes)",
    )
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="of an image (3)")
    parser.add_argument(
        "--classes", type=_at_least(2), default=10, help="that it shall tell apart (10)"
    )


def _at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if number < least:
            raise ArgumentTypeError(f"must be at least {least} (given {text})")
        return number

    return whole


def run(arguments: Namespace) -> int:
    """Print a line for each thing looked at; return 1 if one does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        all_hold = True
        for each in _findings(arguments, Path(folder)):
            print(each, flush=True)
            all_hold &= each.holds is True
    return 0 if all_hold else 1


def _findings(arguments: Namespace, folder: Path) -> Iterator[Finding]:
    from slimline.errors import ParamsError

    if arguments.name is None:
        from slimline.doctor import machine

        return machine.examine()
    from slimline.networks import backbone_names

    try:
        backbone_names.check(arguments.name)
    except ValueError as error:
        raise ParamsError([f"{arguments.name}: {error}"]) from None
    sys.path.insert(0, "")  # for the user's own networks
    from slimline.doctor import network

    network.check_settings()
    return network.examine(
        arguments.name,
        folder,
        size=arguments.size,
        channels=arguments.channels,
        num_classes=arguments.classes,
    )
