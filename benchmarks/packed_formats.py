"""What would a prepared split of photos cost in another format of few large files?

    python -m pip install --target /somewhere pyarrow==26.0.1 webdataset==1.0.2
    PYTHONPATH=/somewhere python -m benchmarks.packed_formats --images 50000

writes the same small JPEGs in each format and prints a line for each: the size of its files; what
`dvc add` takes, in seconds, seconds of CPU and peak memory; and how many photos a second are read
in the order of an epoch, by a process that does nothing else, with its peak memory. Nothing is
decoded. The files are in the page cache, so that no disk is measured. All formats have to give the
same bytes.

    files       a file each, as a folder of photos has them
    packed      ours: tar archives and an index of places (`slimline/data/packed_files.py`)
    arrow       Arrow's file format, a column of bytes, mapped into memory
    webdataset  its own tar archives with a label beside each photo; its reader knows no order but
                that of the archives, through a buffer of 1,000 that is shuffled
"""

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks import million_images
from slimline.data import packed_files
from slimline.data.packed_files import Member

_BATCH = 1000
"""Photos of a record batch of Arrow's, and of WebDataset's buffer."""
_SHARD_PHOTOS, _SHARD_BYTES = 10**9, 2**30


class Format(Protocol):
    """A way to keep photos."""

    def write(self, folder: Path, photos: list[Path]) -> None:
        """Write them into a new folder."""

    def read(self, folder: Path, order: list[int]) -> Iterator[bytes]:
        """Yield them in an order, if the format can."""


class Files:
    """A file each."""

    def write(self, folder: Path, photos: list[Path]) -> None:
        """Copy them."""
        folder.mkdir()
        for row, photo in enumerate(photos):
            shutil.copyfile(photo, folder / f"{row:07d}.jpg")

    def read(self, folder: Path, order: list[int]) -> Iterator[bytes]:
        """Open one after another."""
        for row in order:
            yield (folder / f"{row:07d}.jpg").read_bytes()


class Packed:
    """Ours."""

    def write(self, folder: Path, photos: list[Path]) -> None:
        """Pack them as `prepare_data` does."""
        packed_files.write(folder, map(self._member, photos), len(photos))

    def read(self, folder: Path, order: list[int]) -> Iterator[bytes]:
        """Read at the places that the index knows."""
        return map(packed_files.load(folder).read, order)

    def _member(self, photo: Path) -> Member:
        content = photo.read_bytes()
        return Member(content, photo.name, hashlib.sha256(content).hexdigest(), ".jpg")


class Arrow:
    """Batches of a column of bytes."""

    def write(self, folder: Path, photos: list[Path]) -> None:
        """Write one file."""
        import pyarrow as pa

        folder.mkdir()
        schema = pa.schema([("photo", pa.large_binary())])
        with (
            pa.OSFile(str(folder / "photos.arrow"), "wb") as out,
            pa.ipc.new_file(out, schema) as file,
        ):
            for start in range(0, len(photos), _BATCH):
                column = [each.read_bytes() for each in photos[start : start + _BATCH]]
                file.write_batch(pa.record_batch([pa.array(column, pa.large_binary())], schema))

    def read(self, folder: Path, order: list[int]) -> Iterator[bytes]:
        """Read rows of batches that are mapped into memory."""
        import pyarrow as pa

        with (
            pa.memory_map(str(folder / "photos.arrow")) as mapped,
            pa.ipc.open_file(mapped) as file,
        ):
            columns = [file.get_batch(each).column(0) for each in range(file.num_record_batches)]
            for row in order:
                batch, place = divmod(row, _BATCH)
                yield columns[batch][place].as_py()


class WebDataset:
    """Tar archives that are read as streams."""

    def write(self, folder: Path, photos: list[Path]) -> None:
        """Write archives as large as ours."""
        import webdataset

        folder.mkdir()
        pattern = str(folder / "photos-%05d.tar")
        with webdataset.ShardWriter(
            pattern, maxcount=_SHARD_PHOTOS, maxsize=_SHARD_BYTES, verbose=0
        ) as writer:
            for row, photo in enumerate(photos):
                label = int(photo.parent.name.split()[-1])
                writer.write({"__key__": f"{row:07d}", "jpg": photo.read_bytes(), "cls": label})

    def read(self, folder: Path, order: list[int]) -> Iterator[bytes]:
        """Read archives from their beginning, whatever the order."""
        import webdataset

        urls = sorted(map(str, folder.iterdir()))
        samples: Any = webdataset.WebDataset(urls, shardshuffle=False).shuffle(_BATCH)
        found = (each["jpg"] for each in samples)
        return (content for content, _ in zip(found, order, strict=True))


FORMATS: dict[str, type[Format]] = {
    "files": Files,
    "packed": Packed,
    "arrow": Arrow,
    "webdataset": WebDataset,
}


@dataclass(frozen=True)
class Reading:
    """What an epoch's order took."""

    photos_per_second: float
    peak_mib: float
    sha256: str
    """Of what was read, whatever its order."""


def main() -> None:
    """Print the table, or do what another process asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=16, help="height and width, pixels")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one if left out")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--write", choices=FORMATS, help=argparse.SUPPRESS)
    parser.add_argument("--read", choices=FORMATS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        photos = sorted((given.folder / "raw").rglob("*.jpg"))
        FORMATS[given.write]().write(given.folder / given.write, photos)
        return
    if given.read:
        reading = read(FORMATS[given.read](), given.folder / given.read, given.images)
        print(json.dumps(asdict(reading)))
        return
    print("| format | MiB | `dvc add`, s | s of CPU | MiB | photos read a second | MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        million_images.make(Path(name) / "raw", given.images, given.size)
        sums = set()
        for chosen in given.formats:
            line, sha256 = _measured(chosen, Path(name), given.images)
            sums.add(sha256)
            print(line, flush=True)
    if len(sums) > 1:
        raise ValueError("not all formats gave the same bytes")


def read(kept: Format, folder: Path, count: int) -> Reading:
    """Read all photos in a random order."""
    order = np.random.default_rng(0).permutation(count).tolist()
    sums, begun = 0, time.perf_counter()
    for content in kept.read(folder, order):
        sums ^= int.from_bytes(hashlib.sha256(content).digest(), "big")
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Reading(count / seconds, peak, f"{sums:064x}")


def _measured(chosen: str, scratch: Path, count: int) -> tuple[str, str]:
    """Return a line of the table, and the hash of what was read.

    Each step is a process of its own, and this one loads no format's library: the peak of a process
    begins with what its parent had.
    """
    own = [sys.executable, "-m", "benchmarks.packed_formats", "--images", str(count)]
    own += ["--folder", str(scratch)]
    subprocess.run([*own, "--write", chosen], check=True)
    folder = scratch / chosen
    size = sum(each.stat().st_size for each in folder.iterdir()) / 2**20
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=scratch, check=True)
    added = million_images.measured(["dvc", "add", "--quiet", chosen], cwd=scratch)
    told = subprocess.run([*own, "--read", chosen], check=True, stdout=subprocess.PIPE, text=True)
    reading = Reading(**json.loads(told.stdout))
    for used in (scratch / ".dvc", scratch / ".git", folder):
        shutil.rmtree(used)
    figures = f"{reading.photos_per_second:,.0f} | {reading.peak_mib:.0f}"
    return f"| {chosen} | {size:,.0f} | {added} | {figures} |", reading.sha256


if __name__ == "__main__":
    main()
