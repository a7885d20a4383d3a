"""Which networks go the whole way? Every classifier of torchvision, one network a family of timm.

    python -m benchmarks.zoo run                               what the table lacks, part by part
    python -m benchmarks.zoo run --parts prune --names torchvision:vgg11 timm:mixnet_s --again
    python -m benchmarks.zoo write                             docs/zoo.md from the table

Weights are random, images are noise of 64 or 96 pixels, or 224 where a network demands it; each
step is that of `python -m slimline doctor`. `run` looks at a network in a process of its own with
a time limit, and writes the cells of a part into benchmarks/zoo.tsv, and docs/zoo.md, as soon as
they are known: a run that is stopped goes on where it was, two may go at once over names of their
own, and `--again` takes anew what is there. With `--files FOLDER`, int8 leaves the files there, and
times takes those that it finds: what takes hours can be made beside other work, and what asks for a
machine that does nothing else is done in minutes. There are four parts:

    prune  builds, prunes to 68.5 % of its multiply-accumulates, reloads bit for bit
    int8   the .onnx, two steps of QAT, the int8 file checked as the pipeline checks it
    times  of one image on one thread, all files in turns: against float and against what ONNX
           Runtime's own `quantize_static` makes of the float file; left for another time where the
           turns differ too much, since the machine does other things
    peer   torch-pruning's magnitude pruner on the same network (extra `peers`)
"""

import argparse
import contextlib
import fcntl
import io
import multiprocessing
import resource
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import onnx
import torch

from benchmarks import zoo_page
from benchmarks.int8 import Subject, published_stem, quantize_onnxruntime
from benchmarks.pruning import cut_by_peer
from benchmarks.zoo_names import NAMES
from slimline import files, processor
from slimline.artifacts import description
from slimline.doctor import network as doctor
from slimline.doctor.finding import Finding
from slimline.errors import SlimlineError
from slimline.measure import interleaved
from slimline.networks import backbones, classifier
from slimline.networks.architecture import Architecture
from slimline.pruning import cost
from slimline.targets.runtimes import Deployable

TABLE, PAGE = Path("benchmarks/zoo.tsv"), Path("docs/zoo.md")
MEMORY = 16
"""GiB that the process of a network may address: else one that takes all ends the others."""
LIMIT = 600
"""Seconds that a part of a network may take."""
NUM_CLASSES = 10
PEER_SHARE = 0.685
"""Of the multiply-accumulates, that torch-pruning is asked to leave, as ours is."""
BLOCKS, RUNS, WARM_UP = 10, 5, 2
"""Turns of each file, images of a turn that count, and images that do not."""
QUIET = 1.15
"""Ratio of the quartiles of ratios, above which the machine was not quiet enough."""
NUM_CALIBRATION = 16
LONGEST = 300
"""Characters of a reason."""

Row = dict[str, str]


def main() -> None:
    """Run parts, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "write"])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--again", action="store_true", help="also what the table has")
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds for a part of a network")
    parser.add_argument("--memory", type=int, default=MEMORY, help="GiB that a network may take")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="where .onnx files are kept")
    given = parser.parse_args()
    if given.what == "run":
        resource.setrlimit(resource.RLIMIT_AS, (given.memory * 2**30,) * 2)
        run(given.parts, given.names, limit=given.limit, again=given.again, kept=given.files)
    else:
        write(read())


def run(
    parts: Sequence[str],
    names: Sequence[str],
    *,
    limit: int,
    again: bool,
    kept: Path | None = None,
) -> None:
    """Fill the table, network by network; `kept` is the folder of the files, if they are kept."""
    for name in names:
        row = read().get(name, {})
        wanted = [part for part in PARTS if part in parts and (again or not row.get(part))]
        for part, found in look(name, wanted, limit, kept):
            print(f"{name}: {part}: {' '.join(map('='.join, found.items()))}", flush=True)
            keep(name, part, found)


def look(
    name: str, parts: Sequence[str], limit: int, kept: Path | None = None
) -> Iterator[tuple[str, Row]]:
    """Yield the cells of each part; what kills the process or takes too long is its result.

    `limit` is seconds for each part. The process is forked: all libraries are imported once. The
    parts after one that ended it have another.
    """
    waiting = list(parts)
    while waiting:
        with tempfile.TemporaryDirectory() as folder:  # what is killed would leave its own behind
            process, receiver = _start(name, waiting, Path(folder), kept)
            while waiting:
                part = waiting.pop(0)
                try:
                    if receiver.poll(limit):
                        yield part, receiver.recv()
                        continue
                    ended = f"not done in {limit} s"
                except EOFError:
                    process.join()
                    ended = f"its process ended with exit code {process.exitcode}"
                yield part, {part: ended}
                break
            process.kill()
            process.join()


def _start(
    name: str, parts: Sequence[str], folder: Path, kept: Path | None
) -> tuple[BaseProcess, Connection]:
    """Return a process that looks at a network, and where the cells of its parts come out."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    given = (sender, tuple(parts), name, folder, kept)
    process = context.Process(target=_send, args=given, daemon=True)
    process.start()
    sender.close()
    return process, receiver


def _send(
    sender: Connection, parts: Sequence[str], name: str, folder: Path, kept: Path | None
) -> None:
    """Look at the parts of a network, in a process of its own."""
    torch.set_num_threads(1)
    examination = Examination(name, folder, kept)
    for part in parts:
        with contextlib.redirect_stdout(io.StringIO()):  # libraries show their progress there
            try:
                found = PARTS[part](examination)
            except SlimlineError as error:
                found = {part: str(error)}
        sender.send(found)


class Examination:
    """What `doctor` finds of a network, step by step, and no further than somebody asks."""

    def __init__(self, name: str, folder: Path, kept: Path | None = None) -> None:
        self.name, self.folder, self.kept = name, folder, kept
        self._found: dict[str, Finding] = {}
        self._coming = doctor.examine(
            name, folder, size=None, channels=3, num_classes=NUM_CLASSES, steps=_STEPS
        )

    def up_to(self, step: str) -> dict[str, Finding]:
        """Return what was found, by step, up to one."""
        while step not in self._found:
            found = next(self._coming)
            self._found[found.name] = found
            if found.name == LAST and self._holds() and self.kept is not None:
                self._keep_files(self.kept / self.name.replace(":", "."))
        return {each: self._found[each] for each in _STEPS[: _STEPS.index(step) + 1]}

    def files(self) -> dict[str, Path]:
        """Return the .onnx files of a network by form; none where it does not come so far."""
        folder = None if self.kept is None else self.kept / self.name.replace(":", ".")
        if folder is not None and folder.is_dir():
            return _files(folder)
        self.up_to(LAST)
        return _files(self.folder) if self._holds() else {}

    def _holds(self) -> bool:
        """Do all steps hold? Else a file is missing or wrong, and there are no times to be had."""
        return all(each.holds for each in self._found.values())

    def _keep_files(self, folder: Path) -> None:
        """Copy the files to where they are looked for: all of them or none."""
        partial = folder.with_suffix(".partial")
        for path in _files(self.folder).values():
            where = partial / path.relative_to(self.folder)
            where.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, where)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def _files(folder: Path) -> dict[str, Path]:
    return {form: folder / form / description.ONNX for form in (doctor.FLOAT, doctor.INT8)}


LAST = "int8 file"
_STEPS = ("builds", "prunes", "reloads", "exports", "quantizes", LAST)


def keep(name: str, part: str, found: Row) -> None:
    """Put the cells of a part into a network's row, in place of what was there, and write both."""
    with Path(__file__).open() as lock:  # not the table's own: that file is replaced
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = read()
        row = rows.get(name, _waiting(name))
        own = {column: "" for column, of in zoo_page.COLUMNS.items() if of == part}
        rows[name] = row | own | {column: _in_a_line(value) for column, value in found.items()}
        write(rows)


def _in_a_line(text: str) -> str:
    """Return a text as a cell of the table may hold it, its end left out where it is long."""
    return textwrap.shorten(text, LONGEST, placeholder=" ...")


def read() -> dict[str, Row]:
    """Return the rows of the table by name."""
    rows = files.read_table(TABLE) if TABLE.is_file() else []
    return {row["name"]: row for row in rows}


def write(rows: Mapping[str, Row]) -> None:
    """Write table and page, in the order of the names; the page has those too that wait."""
    ordered = [rows.get(name, _waiting(name)) for name in NAMES]
    known = [row for row in ordered if row["name"] in rows]
    files.write_table(TABLE, known, header=list(zoo_page.COLUMNS))
    files.write_text(PAGE, zoo_page.render(ordered))


def _waiting(name: str) -> Row:
    """Return the row of a network that was not looked at."""
    return dict.fromkeys(zoo_page.COLUMNS, "") | {"name": name}


def prune(examination: Examination) -> Row:
    """Return what becomes of a network up to its reloaded, narrower form."""
    found = examination.up_to("reloads")
    return _cells("prune", found, "px", "params_m", "macs_m", "macs_left", "whole")


def int8(examination: Examination) -> Row:
    """Return what becomes of a network up to its int8 file."""
    found = examination.up_to(LAST)
    return _cells("int8", found, "differs", "int8_macs") | {
        "qat": "yes" if found["quantizes"].holds else ""
    }


def times(examination: Examination) -> Row:
    """Return how fast the int8 file of a network is; nothing where the machine was not quiet."""
    paths = examination.files()
    return {"times": "yes"} | _times(paths) if paths else _cells("times", examination.up_to(LAST))


def peer(examination: Examination) -> Row:
    """Return what torch-pruning leaves of the same network, or what it fails with."""
    name, size = examination.name, int(examination.up_to("builds")["builds"].figures["px"])
    torch.manual_seed(0)
    network = classifier.make(Architecture(name, NUM_CLASSES, 3, *published_stem(name))).eval()
    example = torch.zeros(2, 3, size, size)
    before = cost.count(network, example).macs
    try:
        cut = cut_by_peer(network, example, backbones.find(name).head, PEER_SHARE, tries=6)
        left = cost.count(cut, example).macs
    except Exception as error:  # whatever the peer fails with is the result
        return {"peer": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}
    return {"peer": "yes", "peer_macs_left": f"{100 * left / before:.1f}"}


PARTS: dict[str, Callable[[Examination], Row]] = {
    "prune": prune,
    "int8": int8,
    "times": times,
    "peer": peer,
}


def _cells(part: str, found: Mapping[str, Finding], *figures: str) -> Row:
    """Return `yes` for a part, or the first step that failed and why; and its figures."""
    failed = next((each for each in found.values() if not each.holds), None)
    values: dict[str, float] = {}
    for each in found.values():
        values |= each.figures
    row = {part: "yes" if failed is None else f"{failed.name}: {failed.told}"}
    return row | {key: f"{values[key]:.4g}" for key in figures if key in values}


def _times(paths: Mapping[str, Path]) -> Row:
    """Return how many times faster than float our file is, and `quantize_static`'s."""
    models = {key: partial(Deployable(path).load, num_threads=1) for key, path in paths.items()}
    (batch,) = onnx.load(paths[doctor.FLOAT]).graph.input
    image = [each.dim_value for each in batch.type.tensor_type.shape.dim[1:]]
    images = np.random.default_rng(0).standard_normal([NUM_CALIBRATION, *image])
    told = "yes"
    try:
        static = paths[doctor.FLOAT].with_name("static.onnx")
        calibration = torch.from_numpy(images).float()
        quantize_onnxruntime(Subject(torch.nn.Identity(), calibration, paths[doctor.FLOAT]), static)
        Deployable(static).load(num_threads=1)
        models["static"] = partial(Deployable(static).load, num_threads=1)
    except Exception as error:  # whatever the peer fails with is the result
        told = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    singles = [each[np.newaxis].astype(np.float32) for each in images[:8]]
    order = np.random.default_rng()
    blocks = [
        interleaved.block(models, singles, order, runs=RUNS, warm_up=WARM_UP) for _ in range(BLOCKS)
    ]
    medians = {key: np.array([np.median(each[key]) for each in blocks]) for key in models}
    ratios = {key: medians[doctor.FLOAT] / each for key, each in medians.items()}
    low, high = np.quantile([ratios[key] for key in ratios], [0.25, 0.75], axis=1)
    if np.any(high > QUIET * low):
        return {"times": ""}
    faster = {key: float(np.median(each)) for key, each in ratios.items()}
    cpu = processor.cpu()
    on = f"{cpu.model} ({', '.join(cpu.flags)})"
    row = {"faster": f"{faster[doctor.INT8]:.2f}", "static": told, "cpu": on}
    return row | ({"static_faster": f"{faster['static']:.2f}"} if "static" in faster else {})


if __name__ == "__main__":
    main()
