import hashlib
import io
import multiprocessing
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from slimline.data import packed_files
from slimline.data.packed_files import Member, PackedFiles

CONTENTS = [bytes([number]) * (100 * number) for number in range(20)]
"""Some are empty, some fill blocks of 512 bytes."""


def pack(folder: Path, contents: list[bytes] = CONTENTS) -> PackedFiles:
    members = (
        Member(each, f"a  class/{number} ü.jpg", hashlib.sha256(each).hexdigest(), ".jpeg")
        for number, each in enumerate(contents)
    )
    packed_files.write(folder, members, len(contents))
    return packed_files.load(folder)


def test_files_are_read_in_any_order(tmp_path: Path) -> None:
    packed = pack(tmp_path / "images")
    order = np.random.default_rng(0).permutation(20)
    assert [packed.read(row) for row in order] == [CONTENTS[row] for row in order]
    some = packed.take(np.array([7, 3])).take(np.array([1]))
    assert len(some) == 1
    assert some.read(0) == CONTENTS[3]
    (member,) = some.members()
    assert member == Member(
        CONTENTS[3], "a  class/3 ü.jpg", hashlib.sha256(CONTENTS[3]).hexdigest(), ".jpeg"
    )


def test_shards_are_ordinary_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_files, "_SHARD_BYTES", 8192)
    packed = pack(tmp_path / "images")
    shards = sorted((tmp_path / "images").glob("*.tar"))
    assert len(shards) == len(set(packed.places[:, 0].tolist())) > 2
    assert [packed.read(row) for row in range(20)] == CONTENTS
    names = []
    for shard in shards:
        subprocess.run(["tar", "-tf", shard], check=True, capture_output=True)
        with tarfile.open(shard) as archive:
            names += archive.getnames()
    assert names == [f"{number:07d}.jpeg" for number in range(20)]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        pack(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_another_process_may_read(tmp_path: Path) -> None:
    packed = pack(tmp_path / "images")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(packed.read, [19, 0]) == [CONTENTS[19], CONTENTS[0]]


def test_an_image_costs_bytes_of_memory_and_no_object(tmp_path: Path) -> None:
    """Of a million photos names and hashes alone would take 300 MB as strings."""
    pack(tmp_path / "images", [b""] * 20_000)
    tracemalloc.start()
    packed = packed_files.load(tmp_path / "images")
    taken = packed.take(np.arange(0, 20_000, 2))
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(taken) == 10_000
    assert now < 20_000 * 16


def test_a_disk_that_gives_less_than_was_asked_for_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(tmp_path / "images")

    class Short(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 100))

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Short(path))
    assert [packed.read(row) for row in range(20)] == CONTENTS
