"""Run the committed pipeline from scratch in two folders and compare every byte it makes.

The folders are clones of HEAD at different depths, each with an empty DVC cache of its own, so
that no result is handed over from one run to the other and no path of a folder can hide in a file.
Latency is measured, not made: `benchmark` and `report` are left out.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGETS = ("int8_export", "int8_ptq", "int8_dynamic", "float16", "evaluate")
COMPARED = (
    Path("models"),
    Path("metrics/evaluate"),
    Path("metrics/predictions"),
    Path("metrics/newly_wrong"),
    Path("metrics/recalls"),
)


class VerificationError(Exception):
    """The comparison could not be made: the message is one sentence for the user."""


def git(root: Path, *arguments: str) -> str:
    """Return what git prints, in the repository at `root`."""
    # In a hook git sets GIT_DIR, which would lead back to the user's own repository.
    environment = {key: each for key, each in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VerificationError(f"git {arguments[0]} failed in {root}: {done.stderr.strip()}")
    return done.stdout.strip()


def clone(source: Path, target: Path) -> Path:
    """Clone the HEAD of `source`, without any result that is committed in it."""
    target.parent.mkdir(parents=True)
    head = git(source, "rev-parse", "HEAD")
    git(source, "clone", "--quiet", "--no-hardlinks", "--no-checkout", str(source), str(target))
    git(target, "checkout", "--quiet", "--detach", head)
    # A cache.dir in the user's own DVC configuration would be shared; the path is relative to .dvc.
    (target / ".dvc/config.local").write_text("[cache]\n    dir = cache\n")
    (target / "dvc.lock").unlink(missing_ok=True)
    for folder in COMPARED:
        for path in files_below(target / folder):
            path.unlink()
    return target


def files_below(folder: Path) -> list[Path]:
    """All files in `folder`, git's own settings aside; none if there is no such folder."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".gitignore"]


def reproduce(root: Path) -> None:
    """Run the pipeline at `root` with the Python and the DVC that run this script."""
    # Not resolved: the python in a virtual environment is a link to one that knows no packages.
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-m", "dvc", "repro", *TARGETS]
    began = time.monotonic()
    exit_code = subprocess.run(command, cwd=root, env=environment).returncode
    if exit_code:
        raise VerificationError(f"dvc repro failed in {root} with exit code {exit_code}.")
    print(f"Reproduced in {root} in {time.monotonic() - began:.0f} seconds.", flush=True)


def compare(first: Path, second: Path) -> tuple[list[Path], list[str]]:
    """Return the paths that either root has, and a line for each that is not the same in both."""
    paths = sorted(
        {
            path.relative_to(root)
            for root in (first, second)
            for folder in COMPARED
            for path in files_below(root / folder)
        }
    )
    lines = [line for path in paths if (line := difference(first, second, path))]
    return paths, lines


def difference(first: Path, second: Path, path: Path) -> str:
    """One line on how a file differs, or nothing."""
    for root in (first, second):
        if not (root / path).is_file():
            return f"missing in {root}: {path}"
    if filecmp.cmp(first / path, second / path, shallow=False):
        return ""
    return f"differs: {path}"


def verify(root: Path, scratch: Path, *, against_workspace: bool) -> bool:
    """Return whether both runs made the same bytes, and print what did not come out the same."""
    if git(root, "status", "--porcelain", "--untracked-files=no"):
        print("Note: there are uncommitted changes; what is run is the commit HEAD.", flush=True)
    first = clone(root, scratch / "one/clone")
    reproduce(first)
    second = root
    if not against_workspace:
        second = clone(root, scratch / "two/several/folders/further/down/clone")
        reproduce(second)
    paths, lines = compare(first, second)
    print("\n".join([*lines, f"{len(paths)} files compared, {len(lines)} not the same."]))
    if not paths:
        raise VerificationError("There is nothing to compare: the pipeline made no files.")
    return not lines


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--against-workspace",
        action="store_true",
        help="compare one clone with the models/ and metrics/ of this workspace (half the time)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Return 0 if all bytes are the same, 1 if not, 2 if that could not be found out."""
    options = parse(arguments)
    scratch = Path(tempfile.mkdtemp(prefix="verify-repro-"))
    try:
        root = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
        same = verify(root, scratch, against_workspace=options.against_workspace)
    except VerificationError as error:
        print(f"verify_repro: {error}\nThe clones are kept in {scratch}.", file=sys.stderr)
        return 2
    if not same:
        print(f"The clones are kept in {scratch}.")
        return 1
    shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
