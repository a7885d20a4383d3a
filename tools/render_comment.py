"""Write the comment of a pull request by the code of main, from nothing but its files.

  python tools/render_comment.py "$(git rev-parse HEAD)" ../proposed ../results ../comment.md

is what .github/workflows/comment.yml runs at the root of a checkout of main. `proposed` holds the
pull request's files, `results` what its run made: `metrics/` and `dvc.lock`. Both are a stranger's:
they are read as data, no line of them is run, and no link in them is followed. What the comment
says of gates and accuracy is worked out here, from answers and labels, by main's rules and main's
limits; a text that somebody wrote himself gets nowhere. Where the committed figures are of the
committed code, they are taken and the run's own results are not looked at.
"""

import argparse
import contextlib
import shutil
import sys
from pathlib import Path

import pull_request

_READ = ("metrics", "dvc.lock", "dvc.yaml", "params.yaml", "variants.yaml", "slimline", "stages")
_MADE = ("metrics", "dvc.lock")
_COMMITTED_THERE = """
> The figures are those that this pull request has committed: they were made by whoever ran the
> pipeline, and not made again here. `make verify-repro` does that.
"""
_MADE_THERE = """
> **These results were made by this pull request's run, with its code, and are not committed.**
> Run `dvc repro` and commit `dvc.lock` and `metrics/`; the tests refuse results that are older than
> code and params. On another type of CPU training gives other bytes.
"""


def main(base: str, proposed: Path, results: Path, target: Path) -> int:
    """Return the exit code: 0 where there is a comparison, 2 where the comment says why not."""
    for name in (*(proposed / each for each in _READ), results):
        links = _links(name)
        if links:
            told = f"{links[0].name} is a link; results are read from files alone"
            return pull_request.give_up(target, "there is nothing to compare", told)
    target = target.resolve()
    made = {name: (results / name).resolve() for name in _MADE}
    with contextlib.chdir(proposed):
        note = _COMMITTED_THERE
        if not pull_request.results_are_current():
            _take(made)
            note = _MADE_THERE
        # Models of a stranger are not run, so nothing is timed here.
        is_written = pull_request.write_comment(base, target, note, "--no-measure")
    return 0 if is_written else 2


def _take(made: dict[str, Path]) -> None:
    """Put what the run made in the place of what is committed, as far as there is any."""
    for name, path in made.items():
        if path.is_dir():
            shutil.rmtree(name, ignore_errors=True)
            shutil.copytree(path, name)
        elif path.is_file():
            shutil.copyfile(path, name)


def _links(path: Path) -> list[Path]:
    """Return what under a path is a link, the path itself included."""
    return [each for each in (path, *path.rglob("*")) if each.is_symlink()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="the commit of main that the figures are compared with")
    parser.add_argument("proposed", type=Path, help="the pull request's files, of this repository")
    parser.add_argument("results", type=Path, help="metrics/ and dvc.lock that its run made")
    parser.add_argument("target", type=Path, help="where to write the comment")
    arguments = parser.parse_args()
    sys.exit(main(arguments.base, arguments.proposed, arguments.results, arguments.target))
