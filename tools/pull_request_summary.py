"""Print in Markdown what HEAD changes in metrics and parameters against a base branch.

`python tools/pull_request_summary.py origin/main` compares commits, so it needs neither the DVC
cache nor a full history. It fetches nothing: a shallow clone must fetch the base branch first.
"""

import argparse
import subprocess
import sys
from pathlib import Path

# Title of the section, `dvc <noun> diff`, and what to say where nothing changed.
SECTIONS = (
    ("Metrics", "metrics", "No metric changed."),
    ("Parameters", "params", "No parameter changed."),
)


class SummaryError(Exception):
    """The user can mend this: the message is one sentence that says how."""


class UnknownRefError(SummaryError):
    """The base is not in this clone, as is usual after a shallow checkout."""

    def __init__(self, ref: str) -> None:
        branch = ref.removeprefix("origin/")
        super().__init__(
            f"'{ref}' is no commit that this clone knows; fetch it with"
            f" `git fetch --depth 1 origin {branch}:refs/remotes/origin/{branch}`"
            f" and name it origin/{branch}."
        )


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail, and keep what it prints."""
    return subprocess.run(command, capture_output=True, text=True)


def check_place() -> None:
    """Refuse a folder outside of a DVC project, where `dvc metrics diff` would find no change."""
    if run(["git", "rev-parse", "--git-dir"]).returncode:
        raise SummaryError("This is no git repository; run the script inside a clone.")
    if run([sys.executable, "-m", "dvc", "root"]).returncode:
        raise SummaryError("This is no DVC project; run the script inside a clone of one.")


def find_commit(ref: str) -> str:
    """Return the full hash of the commit that `ref` names."""
    found = run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    )
    if found.returncode:
        raise UnknownRefError(ref)
    return found.stdout.strip()


def find_merge_base(commit: str) -> str | None:
    """Return where HEAD left the base, or None where a shallow history does not reach that far."""
    found = run(["git", "merge-base", commit, "HEAD"])
    return found.stdout.strip() if found.returncode == 0 else None


def render_diff(noun: str, base: str, unchanged: str) -> str:
    """Return DVC's table of differences, or the sentence for none, and what DVC could not read."""
    compared = run([sys.executable, "-m", "dvc", noun, "diff", "--md", base, "HEAD"])
    if compared.returncode:
        reason = (compared.stderr.strip() or compared.stdout.strip()).splitlines()[0]
        raise SummaryError(f"`dvc {noun} diff` failed: {reason.removeprefix('ERROR: ')}")
    table = [line for line in compared.stdout.splitlines() if line.startswith("|")]
    # DVC exits with 0 also where a file is broken: silence would look like "nothing changed".
    unread = [f"> {line}" for line in compared.stderr.splitlines() if "failed to load" in line]
    # Without a difference DVC prints the two header lines of an empty table.
    if len(table) <= 2:
        return "\n".join(unread) or unchanged
    return "\n".join([*table, "", *unread]).strip().replace(base, base[:10])


def render(ref: str) -> str:
    """Return the whole summary of HEAD against `ref`."""
    check_place()
    commit = find_commit(ref)
    merge_base = find_merge_base(commit)
    base = merge_base or commit
    place = "where this branch left it" if merge_base else "its latest fetched commit"
    parts = [
        "## What this pull request changes",
        f"Compared with `{ref}` at {base[:10]}, {place}.",
    ]
    for title, noun, unchanged in SECTIONS:
        parts += [f"### {title}", render_diff(noun, base, unchanged)]
    return "\n\n".join(parts) + "\n"


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base_ref", metavar="BASE_REF", help="what to compare with: origin/main")
    parser.add_argument("--output", type=Path, metavar="FILE", help="append to FILE, do not print")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Return 0, or 2 if the user has to mend something first."""
    options = parse(arguments)
    try:
        summary = render(options.base_ref)
    except SummaryError as error:
        print(f"pull_request_summary: {error}", file=sys.stderr)
        return 2
    if options.output is None:
        print(summary, end="")
        return 0
    with options.output.open("a", encoding="utf-8") as file:
        file.write(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
