"""Files of another commit, read by git alone: no DVC cache and no full history are needed."""

import io
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slimline.errors import SlimlineError


class RevisionError(SlimlineError):
    """A commit is not there, or this is no git repository."""


@dataclass(frozen=True)
class Revision:
    """A commit to compare with."""

    ref: str
    """As the user named it."""
    commit: str
    """Full hash; where history reaches that far, the commit at which this branch left `ref`."""
    is_merge_base: bool

    def __str__(self) -> str:
        """Tell where it is."""
        place = "where this branch left it" if self.is_merge_base else "its latest fetched commit"
        return f"{self.ref} at {self.commit[:10]}, {place}"


def find(ref: str) -> Revision:
    """Return the commit to compare this branch with.

    A base branch moves on, and what it changed meanwhile is no change of ours: so the comparison
    is with the merge base. A shallow clone has none and is compared with the tip that it fetched.

    Raises:
        RevisionError: there is no such commit, or no repository.
    """
    if _git("rev-parse", "--git-dir").returncode:
        raise RevisionError("this is no git repository; run the command inside a clone")
    if not ref:
        raise RevisionError("no commit was named: the text in its place is empty")
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found.returncode:
        branch = ref.removeprefix("origin/")
        raise RevisionError(
            f"'{ref}' is no commit that this clone knows; fetch it with "
            f"`git fetch --depth 1 origin {branch}:refs/remotes/origin/{branch}` "
            f"and name it origin/{branch}"
        )
    tip = found.stdout.decode().strip()
    base = _git("merge-base", tip, "HEAD")
    if base.returncode:
        return Revision(ref, tip, is_merge_base=False)
    return Revision(ref, base.stdout.decode().strip(), is_merge_base=True)


@contextmanager
def extracted(revision: Revision, names: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary folder with those of the files and folders that the commit has."""
    listed = _git("ls-tree", "-z", "--name-only", revision.commit, "--", *names)
    present = [name for name in listed.stdout.decode().split("\0") if name]
    with tempfile.TemporaryDirectory() as folder:
        if present:
            packed = _git("archive", "--format=zip", revision.commit, "--", *present)
            assert packed.returncode == 0, packed.stderr.decode()
            with zipfile.ZipFile(io.BytesIO(packed.stdout)) as archive:
                archive.extractall(folder)
        yield Path(folder)


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], capture_output=True, check=False)
