"""What a trial made, brought to the remotes: its record and experiment by git, its models by DVC.

Nothing is believed: both remotes are asked afterwards whether they have it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

from slimline.errors import SlimlineError
from slimline.repository import refs
from slimline.search import experiment
from slimline.search.records import PREFIX, Record

_SHOWN = 3


class RemoteError(SlimlineError):
    """A remote could not be reached, or does not have what was pushed to it."""


def check() -> None:
    """Find out before anything is trained that there is a place for what will be.

    Raises:
        RemoteError: the repository names no DVC remote, or one of a kind that is not installed.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo(".") as repository:
        try:
            repository.cloud.get_remote_odb()
        except DvcException as error:
            raise RemoteError(
                f"--remote: models and run cache need a DVC remote: {error}; name one by "
                "`dvc remote add --default NAME URL` and commit .dvc/config"
            ) from None


def push(record: Record, remote: str) -> None:
    """Push a trial's models and run cache, its experiment and its record, in this order.

    A record on the remote therefore says that all else is there.

    Raises:
        RemoteError: DVC cannot push, or its remote lacks files afterwards.
        RefError: git cannot push, or its remote lacks the record afterwards.
    """
    if record.experiment:
        command = [sys.executable, "-m", "dvc", "exp", "push", "--force", "--run-cache", remote]
        done = subprocess.run(
            [*command, record.experiment], capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            told = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
            raise RemoteError(f"`dvc exp push` of {record.experiment} failed: {told}")
        _check_models(record)
    refs.push(remote, [record.ref])


def push_missing(found: Iterable[Record], remote: str, worker: str) -> None:
    """Push what a worker kept and was killed before it could push.

    Raises:
        RemoteError, RefError: as `push` does.
    """
    listed = refs.git("ls-remote", remote, f"{PREFIX}*").splitlines()
    there = {line.partition("\t")[2] for line in listed}
    for record in found:
        if record.worker == worker and record.ref not in there:
            push(record, remote)


def _check_models(record: Record) -> None:
    from dvc.repo import Repo

    commit = experiment.find(record.experiment)
    assert commit is not None
    with Repo(".", rev=commit) as repository:
        used = {each.value for objects in repository.used_objs().values() for each in objects}
        remote = repository.cloud.get_remote_odb()
        missing = sorted(used - set(remote.oids_exist(sorted(used))))
    if missing:
        raise RemoteError(
            f"the DVC remote lacks {len(missing)} of the {len(used)} files of {record.experiment} "
            f"after it was pushed, as {', '.join(missing[:_SHOWN])}"
        )
