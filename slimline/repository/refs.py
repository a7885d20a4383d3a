"""Small JSON records kept as git refs, read and written by git alone: a thousand within a second.

A record is a commit of one file, `record.json`, that nothing checks out; its parent is the commit
that it tells of, which therefore lives, and travels, as long as the record does.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimline.errors import SlimlineError

_FILE = "record.json"
_NOBODY = "0" * 40


class RefError(SlimlineError):
    """Git refused to read, write, fetch or push a ref; its own words are in the sentence."""


def read(prefix: str) -> dict[str, dict[str, Any]]:
    """Return the content of each record under a prefix that ends in `/`, by ref.

    Raises:
        RefError: this is no git repository.
    """
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    pairs = [line.split(" ") for line in listed]
    asked = "".join(f"{commit}:{_FILE}\n" for _, commit in pairs)
    found = _contents(git("cat-file", "--batch", given=asked), len(pairs)) if pairs else iter(())
    return {
        ref: json.loads(content)
        for (ref, _), content in zip(pairs, found, strict=True)
        if content is not None
    }


def write(ref: str, content: Mapping[str, Any], *, parent: str) -> str:
    """Write a record, in place of one that may be there; return its commit.

    Raises:
        RefError: the parent is no commit, or git cannot write.
    """
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    blob = git("hash-object", "-w", "--stdin", given=text).strip()
    tree = git("mktree", given=f"100644 blob {blob}\t{_FILE}\n").strip()
    # Not the user's own name: a machine in a cluster has none.
    who = ["-c", "user.name=Slimline", "-c", "user.email=slimline@localhost"]
    message = ref.removeprefix("refs/")
    commit = git(*who, "commit-tree", tree, "-p", parent, "-m", message).strip()
    git("update-ref", ref, commit)
    return commit


def delete(ref: str) -> None:
    """Remove a ref; its commit stays while another ref leads to it."""
    git("update-ref", "-d", ref)


def commits(prefix: str) -> dict[str, str]:
    """Return the commit of each ref under a prefix, or of the ref itself."""
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return {ref: commit for ref, _, commit in (line.partition(" ") for line in listed)}


def file_at(commit: str, path: str) -> str | None:
    """Return the text of a file of a commit, None where it has none.

    From here, not from git's root: the pipeline may be a folder of a larger repository.
    """
    done = subprocess.run(
        ["git", "show", f"{commit}:./{path}"], capture_output=True, encoding="utf-8", check=False
    )
    return None if done.returncode else done.stdout


def fetch(remote: str, prefix: str) -> None:
    """Bring all records under a prefix from a remote; those that are here only stay.

    Raises:
        RefError: the remote cannot be reached.
    """
    git("fetch", "--quiet", "--no-tags", remote, f"+{prefix}*:{prefix}*")


def push(remote: str, refs: Sequence[str]) -> None:
    """Bring records to a remote, and ask it whether it has them.

    Raises:
        RefError: the remote cannot be reached, or has something else afterwards.
    """
    git("push", "--quiet", remote, *(f"+{ref}:{ref}" for ref in refs))
    listed = [line.partition("\t") for line in git("ls-remote", remote, *refs).splitlines()]
    there = {ref: commit for commit, _, ref in listed}
    for ref in refs:
        if there.get(ref) != commits(ref).get(ref):
            raise RefError(f"{remote} does not have {ref} after `git push`; push it again")


def git(*arguments: str, given: str = "") -> str:
    """Return what git prints.

    Raises:
        RefError: it failed.
    """
    done = subprocess.run(
        ["git", *arguments], input=given, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["without a word"]
        raise RefError(f"`git {arguments[0]}` failed: {told[-1]}")
    return done.stdout


def _contents(printed: str, count: int) -> Iterator[str | None]:
    """Yield what `git cat-file --batch` printed of each object, None for what is missing."""
    rest = printed.encode()
    for _ in range(count):
        header, _, rest = rest.partition(b"\n")
        if header.endswith(b" missing"):
            yield None
            continue
        size = int(header.split(b" ")[-1])
        yield rest[:size].decode()
        rest = rest[size + 1 :]
