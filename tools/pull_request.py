"""Bring a pull request's results up to date, judge them against the base, write the comment.

  python tools/pull_request.py origin/main comment.md

is what .github/workflows/report.yml runs; it does the same in any clone. Results that are committed
and of this code and these params, by the rule of `gate` and `diff`, stand as they are, and need
neither models nor images. Others are made anew by `dvc repro`, with all that DVC's cache and remote
have.

Exit codes: 0 every gate is kept; 1 one is broken, not proven or not judged, or none is switched on;
2 there is nothing to compare. The comment is written in any case.
"""

import argparse
import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parent.parent
# Run as a script, Python looks for modules beside it, not in the repository.
sys.path.insert(0, str(ROOT))

from slimline.errors import SlimlineError  # noqa: E402
from slimline.repository import dvc_files, staleness  # noqa: E402

TIMED_REPRO = Path(__file__).with_name("timed_repro.py")
_MADE_HERE = """
> **These results were made by this run and are not committed.**
> Run `dvc repro` and commit `dvc.lock` and `metrics/`; the tests refuse results that are older than
> code and params. On another type of CPU training gives other bytes.
"""


def main(base: str, target: Path) -> int:
    """Return the exit code."""
    is_current = results_are_current()
    if not is_current and not make_results():
        return give_up(target, "the pipeline failed", "The log of this run says where.")
    if not write_comment(base, target, "" if is_current else _MADE_HERE):
        return 2
    judged = run_slimline("gate", "--strict", "--base", base)
    print(judged.stdout + judged.stderr, end="", flush=True)
    return judged.returncode


def write_comment(base: str, target: Path, note: str, *options: str) -> bool:
    """Write what `diff` says, with a note; return whether it could compare.

    The note comes after what is quoted under the title: limits that would be loosened stand first.
    """
    compared = run_slimline("diff", base, *options)
    if compared.returncode:
        give_up(target, "there is nothing to compare", compared.stderr.strip())
        return False
    title, *rest = compared.stdout.split("\n\n")
    quoted = list(takewhile(lambda block: block.startswith(">"), rest))
    noted = [note.strip()] if note else []
    blocks = [title, *quoted, *noted, *rest[len(quoted) :]]
    target.write_text("\n\n".join(blocks), encoding="utf-8")
    return True


def give_up(target: Path, title: str, told: str) -> int:
    """Write and print why there is no comparison; return the exit code for that."""
    target.write_text(f"## Slimline: {title}\n\n{indent(told, '    ')}\n", encoding="utf-8")
    print(f"{title}: {told}", file=sys.stderr)
    return 2


def results_are_current() -> bool:
    """Return whether the results are of what is here; print what they are not of."""
    try:
        notes = staleness.check(Path(), dvc_files.read_lock(Path()))
    except SlimlineError as error:
        print(f"The results are not of what is here:\n{indent(str(error), '  ')}", flush=True)
        return False
    for note in notes:
        print(note, flush=True)
    print("The committed results are of this code and these params.", flush=True)
    return True


def make_results() -> bool:
    """Run what is out of date, with what the default remote has; return whether that went well."""
    if _run("dvc", "config", "core.remote").returncode == 0:
        fetched = _run("dvc", "fetch", "--run-cache")
        print(fetched.stdout + fetched.stderr, end="", flush=True)
        if fetched.returncode:
            print("The remote cannot be read: what is not here is made anew.", flush=True)
    return subprocess.run([sys.executable, TIMED_REPRO], check=False).returncode == 0


def run_slimline(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the code beside this script, whatever lies in the working folder."""
    command = [sys.executable, "-P", "-m", "slimline", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="a branch or commit to compare with, as origin/main")
    parser.add_argument("target", type=Path, help="where to write the comment")
    arguments = parser.parse_args()
    sys.exit(main(arguments.base, arguments.target))
