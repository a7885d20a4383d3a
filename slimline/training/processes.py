"""One training over several processes: how they are started, and what they tell each other.

With one process, which is the default, nothing here does anything. Every process does the same
work on its own share of each batch; what must not differ between them is averaged or gathered
here. Why plain DistributedDataParallel: docs/decisions/0029-processes.md.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from slimline import params
from slimline.errors import ParamsError, SlimlineError
from slimline.training import watching
from slimline.training.settings import ProgressParams

_RANK, _WORLD, _LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"
"""What a launcher (torch's own, SLURM by way of it) tells each process; nothing else of ours reads
the environment."""

_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Stands in the environment of what torch's own launcher starts, which hides no GPU."""

_HEAD_START = 5
"""Seconds in which the first process, if it has met the same mistake, tells it."""

_USER_MISTAKE = 2


def rank() -> int:
    """Return which of the processes this is; the first, 0, alone writes and prints."""
    return distributed.get_rank() if _are_several() else 0


def count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if _are_several() else 1


def spread(main: Callable[..., None]) -> Callable[..., None]:
    """Return what a training stage runs in place of its `main`: it, in as many processes as asked.

    Where a launcher has already started them, over several machines, they are used.

    Raises:
        ParamsError: a launcher started another number of processes than `params.yaml` says.
    """

    @functools.wraps(main)
    def run(*arguments: Path) -> None:
        wanted = params.load_run().processes
        if _RANK not in os.environ:
            _launch(wanted) if wanted > 1 else _watched(main, *arguments)
            return
        _refuse_other_number(_world(), wanted)
        _join()
        try:
            _watched(main, *arguments) if rank() == 0 else main(*arguments)
        except SlimlineError:
            if rank() > 0:
                time.sleep(_HEAD_START)
            raise
        _leave()

    return run


def end_others() -> None:
    """Let the first process go on alone, as one that was never one of several.

    The others end here: what follows a training is done once.
    """
    if _are_several():
        is_first = rank() == 0
        distributed.barrier()
        _leave()
        if not is_first:
            sys.exit(0)


def wrap(network: nn.Module) -> nn.Module:
    """Return what a training step calls: its gradients are the mean over all processes.

    Weights and buffers become those of the first process. Statistics and ranges stay each
    process's own until they are averaged.
    """
    if not _are_several():
        return network
    # The strides of a 1x1 convolution can be written in two ways; its memory is the same.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # Without looking for unused parameters DDP regroups its sums after the first step: of three
    # processes and more a training that goes on would add up in another order than one that was
    # not interrupted. And a network may have parameters that its forward doesn't use.
    return nn.parallel.DistributedDataParallel(
        network, forward_sync_buffers=False, find_unused_parameters=True
    )


def mean(value: Tensor) -> Tensor:
    """Return the mean over all processes."""
    return total(value.detach().clone()) / count() if _are_several() else value


def total(value: Tensor) -> Tensor:
    """Return the sum over all processes."""
    if _are_several():
        distributed.all_reduce(value)
    return value


def average(tensors: Iterable[Tensor]) -> None:
    """Make tensors of any shapes, in place, the mean over all processes."""
    if _are_several():
        _reduce(list(tensors), distributed.ReduceOp.SUM, 1 / count())


def widen(lows: Iterable[Tensor], highs: Iterable[Tensor]) -> None:
    """Make tensors of any shapes, in place, the least and the greatest over all processes."""
    if _are_several():
        _reduce(list(lows), distributed.ReduceOp.MIN)
        _reduce(list(highs), distributed.ReduceOp.MAX)


def random_in_common() -> Tensor:
    """Return the state of what is drawn at random, before a training has its own."""
    return torch.get_rng_state()


def begin_own_random(seed: int, *, done: int) -> None:
    """Let what is drawn at random, as by dropout, differ between processes from now on.

    A training of which steps are `done` has its own already.
    """
    if _are_several() and not done:
        torch.manual_seed(np.random.SeedSequence((seed, rank())).generate_state(1)[0].item())


def end_own_random(common: Tensor) -> None:
    """Return to what the processes had in common: what follows is the same in each."""
    if _are_several():
        torch.set_rng_state(common)


def first_decides(answer: bool) -> bool:
    """Return what the first process answers."""
    if not _are_several():
        return answer
    told = torch.tensor([int(answer)])
    distributed.broadcast(told, 0)
    return bool(told.item())


def of_first(content: bytes | None) -> bytes | None:
    """Return the bytes that the first process has, on whatever machine the others are."""
    if not _are_several():
        return content
    size = torch.tensor([-1 if content is None else len(content)])
    distributed.broadcast(size, 0)
    if size.item() < 0:
        return None
    values = torch.zeros(int(size), dtype=torch.uint8)
    if content is not None and rank() == 0:
        values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    distributed.broadcast(values, 0)
    return values.numpy().tobytes()


def gathered(value: Tensor) -> list[Tensor]:
    """Return what each process has, in order; all of one shape and type."""
    if not _are_several():
        return [value]
    found = [torch.empty_like(value) for _ in range(count())]
    distributed.all_gather(found, value)
    return found


def _reduce(tensors: list[Tensor], operation: Any, factor: float = 1) -> None:
    if not tensors:
        return
    flat = torch.cat([each.detach().reshape(-1) for each in tensors])
    distributed.all_reduce(flat, operation)
    with torch.no_grad():
        parts = torch.split(flat, [each.numel() for each in tensors])
        for each, values in zip(tensors, parts, strict=True):
            each.copy_((values * factor).view_as(each))


def _are_several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _watched(main: Callable[..., None], *arguments: Path) -> None:
    """Run a stage while the tools of `progress.watchers` look on."""
    progress = params.load("progress", ProgressParams)
    with watching.watching(_module().rpartition(".")[2], progress.watchers):
        main(*arguments)


def _module() -> str:
    """Return the name of the module that this process runs, as `stages.prune`."""
    module = sys.modules["__main__"].__spec__
    assert module is not None, "a stage is run by `python -m`"
    return module.name


def _launch(wanted: int) -> None:
    """Start this stage once more in each of several processes, and wait for them.

    They end with this one, which is their parent, as this one ends with DVC (`slimline.stage`). A
    mistake of the user is told by one of them, in a sentence; of a bug its traceback is printed.
    """
    if torch.cuda.is_available():
        _refuse_too_few_gpus(wanted)
    from torch.distributed import run as launcher
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # Of itself the launcher would say one, and tell so.
    os.environ.setdefault("OMP_NUM_THREADS", str(params.load_run().num_threads))
    # Else DDP tells each process that it need not have looked for unused parameters.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    launch = ["--standalone", "--nproc-per-node", str(wanted), "--module", _module()]
    try:
        given = launcher.parse_args([*launch, *sys.argv[1:]])  # type: ignore[no-untyped-call]
        launcher.run(given)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        sys.stdout.flush()
        sys.stderr.flush()
        # Python's own farewell, which collects all of torch as garbage, took 2 s of CPU, and on a
        # busy machine more than 10 s in which DVC did not hear of the end.
        os._exit(_USER_MISTAKE if _USER_MISTAKE in codes else 1)


def _world() -> int:
    """Return how many processes the launcher says it has started."""
    if _WORLD not in os.environ:
        raise ParamsError(
            [
                f"{params.PARAMS_PATH}: processes: the environment has {_RANK} and no {_WORLD}, so "
                f"no launcher set it: unset {_RANK}, or start the stage by torchrun "
                f"(given {params.load_run().processes})"
            ]
        )
    return int(os.environ[_WORLD])


def _refuse_other_number(given: int, wanted: int) -> None:
    if given != wanted:
        raise ParamsError(
            [
                f"{params.PARAMS_PATH}: processes: the launcher started {given}, and another "
                f"number gives other bytes: start {wanted}, or say {given} (given {wanted})"
            ]
        )


def _refuse_too_few_gpus(wanted: int) -> None:
    known = torch.cuda.device_count()
    if known < wanted:
        raise ParamsError(
            [
                f"{params.PARAMS_PATH}: processes: each has a GPU of its own, and this machine "
                f"has {known} of the {wanted} that it needs (given {params.load_run().processes})"
            ]
        )


def _own_gpu(local: str | None) -> int:
    """Return the number of the GPU of a process of this machine, by its own number there."""
    if torch.cuda.device_count() == 1 and _BY_TORCHRUN not in os.environ:
        return 0  # Launchers such as Slurm's may show each process nothing but its own.
    if local is None:
        raise ParamsError(
            [
                f"{params.PARAMS_PATH}: processes: the launcher says with no {_LOCAL_RANK} which "
                "of the GPUs here is whose; start them by torchrun, or show each its own alone "
                f"(given {params.load_run().processes})"
            ]
        )
    _refuse_too_few_gpus(int(local) + 1)
    return int(local)


def _join() -> None:
    """Become one of several; all but the first keep quiet."""
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(_own_gpu(os.environ.get(_LOCAL_RANK)))
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend)
    if rank() > 0:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _leave() -> None:
    if _are_several():
        distributed.destroy_process_group()
