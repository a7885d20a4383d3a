"""Print what this branch changes, as the comment of a pull request, in Markdown.

  python -m slimline diff origin/main

The decision comes first, then the gates, then accuracy, size, computation and latency of the
product against REV, with what chance alone could do; then what changed in params.yaml. The rest is
folded.
The text stays below 60,000 characters, of which a comment on GitHub has room for 65,536.

The results in the working tree are compared with those that are committed where this branch left
REV; neither a DVC cache nor a full history is needed. Where DVC's cache or remote has REV's model,
both models are timed anew, in turns, as `gate` does; --no-measure compares what was recorded. A
shallow clone is compared with the tip of REV that it has fetched. Exit 0, whatever the gates say:
`gate` is the command that decides. Exit 2 where the results are not of the params, data and code
that are here; the stage is named.
"""

import sys
from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("base", metavar="REV", help="a branch or commit, as origin/main")
    parser.add_argument(
        "--no-measure",
        action="store_true",
        help="do not time REV's model and this one anew; compare what was recorded",
    )


def run(arguments: Namespace) -> int:
    """Print the comment."""
    from slimline import params
    from slimline.report import base_commit, comparison, render
    from slimline.report.gates import GatesParams
    from slimline.repository import commit_results, revision

    settings = params.load("gates", GatesParams)
    now = commit_results.workspace()
    for note in now.notes:
        print(note, file=sys.stderr)
    found = revision.find(arguments.base)
    then = commit_results.of(found, now)
    against = base_commit.timed(then, found, now, is_wanted=not arguments.no_measure)
    change = comparison.compare(then, now, settings, against, str(found))
    print(render.diff(change), end="")
    return 0
