"""The records' refs, `slimline.repository.refs`, by real git."""

import time
from pathlib import Path

import pytest
import toy

from slimline.repository import refs
from slimline.repository.refs import RefError

PREFIX = "refs/slimline/test/"
MANY = 1000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "here"
    here.mkdir()
    toy.git(here, "init", "--quiet", "--initial-branch=main")
    toy.git(here, "config", "user.email", "toy@example.org")
    toy.git(here, "config", "user.name", "Toy")
    (here / "file.txt").write_text("one\n")
    toy.commit(here, "Begin")
    monkeypatch.chdir(here)
    return here


def head() -> str:
    return refs.git("rev-parse", "HEAD").strip()


@pytest.mark.usefixtures("folder")
def test_what_is_written_is_read() -> None:
    assert refs.read(PREFIX) == {}
    commit = refs.write(f"{PREFIX}a", {"name": "größer", "n": 1}, parent=head())
    refs.write(f"{PREFIX}b", {"n": 2}, parent=head())
    refs.write(f"{PREFIX}b", {"n": 3}, parent=head())
    assert refs.read(PREFIX) == {f"{PREFIX}a": {"name": "größer", "n": 1}, f"{PREFIX}b": {"n": 3}}
    assert refs.git("rev-parse", f"{commit}^").strip() == head()
    assert refs.file_at(head(), "file.txt") == "one\n"
    assert refs.file_at(head(), "none.txt") is None
    refs.delete(f"{PREFIX}a")
    assert set(refs.commits(PREFIX)) == {f"{PREFIX}b"}


@pytest.mark.usefixtures("folder")
def test_a_thousand_are_read_in_under_five_seconds() -> None:
    # By git fast-import, since a thousand times four processes would be most of the test.
    parent = head()
    content = [f'{{"n": {number:4d}, "rest": "{"x" * 2000}"}}' for number in range(MANY)]
    lines = [
        f"commit {PREFIX}{number}\ncommitter A <a@b> 0 +0000\ndata 0\nfrom {parent}\ndeleteall\n"
        f"M 100644 inline record.json\ndata {len(text)}\n{text}\n"
        for number, text in enumerate(content)
    ]
    refs.git("fast-import", "--quiet", given="".join(lines))
    begun = time.monotonic()
    found = refs.read(PREFIX)
    assert time.monotonic() - begun < 5
    assert sorted(each["n"] for each in found.values()) == list(range(MANY))


def test_records_travel_with_what_they_tell_of(folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    toy.git(folder, "clone", "--quiet", "--bare", str(folder), str(remote))
    toy.git(folder, "remote", "add", "origin", str(remote))
    (folder / "file.txt").write_text("two\n")
    toy.commit(folder, "An experiment")
    experiment = head()
    toy.git(folder, "reset", "--quiet", "--hard", "HEAD^")
    refs.write(f"{PREFIX}a", {"n": 1}, parent=experiment)
    refs.push("origin", [f"{PREFIX}a"])
    refs.delete(f"{PREFIX}a")
    refs.fetch("origin", PREFIX)
    assert refs.read(PREFIX) == {f"{PREFIX}a": {"n": 1}}
    assert refs.file_at(f"{PREFIX}a^", "file.txt") == "two\n"


@pytest.mark.usefixtures("folder")
def test_a_remote_that_is_not_there_is_a_sentence() -> None:
    refs.write(f"{PREFIX}a", {"n": 1}, parent=head())
    with pytest.raises(RefError, match="`git push` failed"):
        refs.push("nowhere", [f"{PREFIX}a"])
    with pytest.raises(RefError, match="`git fetch` failed"):
        refs.fetch("nowhere", PREFIX)


def test_a_file_of_a_commit_is_found_from_a_folder_of_the_repository(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pipeline").mkdir()
    (folder / "pipeline" / "params.yaml").write_text("seed: 1\n")
    toy.git(folder, "add", "pipeline")
    toy.commit(folder, "Add a pipeline")
    assert refs.file_at(head(), "params.yaml") is None
    monkeypatch.chdir(folder / "pipeline")
    assert refs.file_at(head(), "params.yaml") == "seed: 1\n"
