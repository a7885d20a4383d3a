"""Print what this branch changes, as the comment of a pull request, in Markdown.

  python -m slimline diff origin/main

The decision comes first, then the gates, then accuracy, size, computation and latency of the
product against REV, with what chance alone could do; then what changed in params.yaml. The rest is
folded.
The text stays below 60,000 characters, of which a comment on GitHub has room for 65,536.

The results in the working tree are compared with those that are committed where this branch left
REV; neither a DVC cache nor a full history is needed. A shallow clone is compared with the tip of
REV that it has fetched. Exit 0, whatever the gates say; `gate` is the command that decides.
"""

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("base", metavar="REV", help="a branch or commit, as origin/main")


def run(arguments: Namespace) -> int:
    """Print the comment."""
    from slimline.core import params, revision
    from slimline.report import comparison, render, state
    from slimline.report.gates import GatesParams

    settings = params.load("gates", GatesParams)
    now = state.workspace()
    base = revision.find(arguments.base)
    change = comparison.compare(state.of(base, now), now, settings, str(base))
    print(render.diff(change), end="")
    return 0
