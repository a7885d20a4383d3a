"""Judge, compare, check, use and ship what the pipeline made.

Run it at the root of the repository. Exit codes: 0 done; 1 no: a gate is broken, a file differs,
an image cannot be read; 2 a mistake of yours, told in one sentence on stderr.
"""

import signal
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from slimline.commands import COMMANDS
from slimline.errors import SlimlineError


def main(arguments: list[str]) -> int:
    """Run the command that is named, and return its exit code."""
    parser = ArgumentParser(
        prog="python -m slimline",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
        epilog="`python -m slimline COMMAND --help` says more of each.",
    )
    choices = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        told = command.__doc__ or ""
        choice = choices.add_parser(
            name,
            help=told.splitlines()[0],
            description=told,
            formatter_class=RawDescriptionHelpFormatter,
        )
        command.add_arguments(choice)
        choice.set_defaults(run=command.run)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except SlimlineError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "slimline":
            raise
        told = (
            f"{package} is not installed for {sys.executable}: `make repro` and `make test` set up "
            ".venv with all that Slimline needs; run it as `.venv/bin/python -m slimline ...`"
        )
        print(told, file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        # `| head` closes our output: no mistake, and no traceback.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
