"""The clone that a search runs its trials in, so that the user's own stays as it is.

`dvc exp run` stashes what is not committed, detaches HEAD and edits `params.yaml`, with `--temp` as
well, and takes it back a second later: killed in between it does not, and whoever works in the
clone meets it at every trial. Here nobody works, and what a killed trial left is thrown away.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from slimline.errors import SlimlineError
from slimline.repository import refs
from slimline.repository.refs import RefError

ROOT = Path(".dvc/tmp/slimline-search/clone")

_EXPERIMENTS = "refs/exps/"
_AGE = "btime"
"""The file by whose time DVC knows what it has hashed in a folder already."""


class CloneError(SlimlineError):
    """The search cannot have a clone of its own."""


def prepare() -> None:
    """Make the clone, or bring what has been committed since to the one that is there.

    Raises:
        CloneError: DVC's settings cannot be read.
        RefError: git cannot make it.
    """
    head = refs.git("rev-parse", "HEAD").strip()
    if ROOT.exists():
        try:
            _git("fetch", "--quiet", "--no-tags", "origin", "HEAD")
            reset(head)
        except RefError:
            # Killed in git's own work, it is made anew: nothing that counts is in it alone.
            shutil.rmtree(ROOT)
    if not ROOT.exists():
        ROOT.parent.mkdir(parents=True, exist_ok=True)
        refs.git("clone", "--quiet", "--no-checkout", _top(), str(ROOT))
        reset(head)
    _name_committer()
    _configure_dvc()


def reset(base: str) -> None:
    """Make its files those of a commit, whatever a trial made of them; DVC's outputs stay."""
    # Locks, of git and DVC, that were being held or written.
    (ROOT / ".git" / "index.lock").unlink(missing_ok=True)
    for path in (project() / ".dvc" / "tmp").glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _AGE:
            path.unlink()
    _git("checkout", "--quiet", "--force", "--detach", base)
    _git("clean", "--quiet", "--force", "-d")
    for ref in _git("for-each-ref", "--format=%(refname)", _EXPERIMENTS).split():
        _git("update-ref", "--no-deref", "-d", ref)


def project() -> Path:
    """Return the folder of the pipeline in it, which may be one of a larger repository."""
    return ROOT / refs.git("rev-parse", "--show-prefix").strip()


def bring(name: str) -> str | None:
    """Bring an experiment to the user's clone; return its commit, None where there is none."""
    for ref in _git("for-each-ref", "--format=%(refname)", _EXPERIMENTS).split():
        if ref.rpartition("/")[2] == name:
            refs.git("fetch", "--quiet", "--no-tags", str(ROOT.resolve()), f"+{ref}:{ref}")
            return refs.commits(ref)[ref]
    return None


def _git(*arguments: str) -> str:
    # Its folder is said: of a broken clone git would else climb to the user's around it.
    return refs.git("-C", str(ROOT), "--git-dir=.git", "--work-tree=.", *arguments)


def _top() -> str:
    return refs.git("rev-parse", "--show-toplevel").strip()


def _name_committer() -> None:
    """Let its commits be of whoever the user's clone says; DVC makes one for each experiment."""
    told = refs.git("config", "--list").splitlines()
    for key, is_told, value in (line.partition("=") for line in told):
        if is_told and key in {"user.name", "user.email"}:
            _git("config", key, value)


def _configure_dvc() -> None:
    """Let it share cache and remotes with the user's clone, wherever these are said to be."""
    from dvc.config import Config, merge
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repository, Config(str(project() / ".dvc")).edit("local") as settings:
            settings.clear()
            for level in ("repo", "local"):
                merge(settings, repository.config.read(level))
            merge(settings, {"cache": {"dir": repository.cache.local_cache_dir}})
    except DvcException as error:
        raise CloneError(f"DVC's settings of this clone cannot be used: {error}") from None
