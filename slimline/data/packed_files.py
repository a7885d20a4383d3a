"""Image files in few large ones: uncompressed tar archives, read at the places that an index knows.

A million small files cost DVC gigabytes of memory, a few large ones next to nothing; an image
costs 32 bytes of memory, and any tool unpacks them (docs/decisions/0032-packed-photos.md).
"""

import itertools
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_PLACES, _SUMS, _NAMES = "places.npy", "sha256.npy", "names.txt"
_SHARD_BYTES = 2**30
"""A shard that has reached as many takes no more files: DVC hashes and sends several at once."""


@dataclass(frozen=True)
class Member:
    """A file to be packed."""

    content: bytes
    name: str
    """As the user knows it."""
    sha256: str
    suffix: str
    """By its content, with the dot."""


@dataclass(frozen=True)
class PackedFiles:
    """Some files of a folder of shards; nothing of them is in memory."""

    folder: Path
    places: NDArray[np.int64]
    """[files in the folder, 3]: the shard, where in it a file begins, and its size, bytes."""
    rows: NDArray[np.int64]
    """[count], which of these they are."""

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.rows)

    def read(self, row: int) -> bytes:
        """Return the content of a file. Any thread or process may ask at any time."""
        shard, start, size = self.places[self.rows[row]].tolist()
        with _shard(self.folder, shard).open("rb", buffering=0) as file:
            file.seek(start)
            content = file.read(size)
            while len(content) < size and (more := file.read(size - len(content))):
                content += more  # network disks may give less than was asked for
            return content

    def take(self, rows: NDArray[np.int64]) -> "PackedFiles":
        """Return some of them."""
        return PackedFiles(self.folder, self.places, self.rows[rows])

    def sums(self) -> Iterator[str]:
        """Yield the SHA-256 of each."""
        sums = np.load(self.folder / _SUMS, mmap_mode="r", allow_pickle=False)
        for place in self.rows.tolist():
            yield sums[place].tobytes().hex()

    def members(self) -> Iterator[Member]:
        """Yield all, to be packed elsewhere."""
        lines = (self.folder / _NAMES).read_text(encoding="utf-8").split("\n")
        for row, sha256 in enumerate(self.sums()):
            suffix, _, name = lines[self.rows[row]].partition("  ")
            yield Member(self.read(row), name, sha256, f".{suffix}")


def write(folder: Path, members: Iterable[Member], count: int) -> None:
    """Pack `count` files, in their order, into a new folder; the same files give the same bytes.

    Beside the shards lie an index, the hash of each file, and its type and name, a line each.
    """
    folder.mkdir()
    places, sums = np.zeros((count, 3), np.int64), np.zeros((count, 32), np.uint8)
    with (folder / _NAMES).open("w", encoding="utf-8", newline="\n") as names:
        left, row = enumerate(members), -1
        for shard in itertools.count():
            with _shard(folder, shard).open("wb") as out:
                for row, each in left:
                    start = _append(out, f"{row:07d}{each.suffix}", each.content)
                    places[row] = shard, start, len(each.content)
                    sums[row] = np.frombuffer(bytes.fromhex(each.sha256), np.uint8)
                    names.write(f"{each.suffix.removeprefix('.')}  {each.name}\n")
                    if out.tell() >= _SHARD_BYTES:
                        break
                out.write(bytes(2 * tarfile.BLOCKSIZE))
            if row == count - 1:
                break
    np.save(folder / _PLACES, places)
    np.save(folder / _SUMS, sums)


def load(folder: Path) -> PackedFiles:
    """Return all files of a folder that `write` wrote.

    Raises:
        FileNotFoundError: the index is missing.
    """
    places = np.load(folder / _PLACES, mmap_mode="r", allow_pickle=False)
    return PackedFiles(folder, places, np.arange(len(places)))


def _append(out: BinaryIO, name: str, content: bytes) -> int:
    """Append an entry, and return where its content begins."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    out.write(entry.tobuf(tarfile.USTAR_FORMAT))
    start = out.tell()
    out.write(content)
    out.write(bytes(-len(content) % tarfile.BLOCKSIZE))
    return start


def _shard(folder: Path, number: int) -> Path:
    return folder / f"images-{number:05d}.tar"
