"""What of this machine and its installation decides results, speed and bytes."""

from __future__ import annotations

import os
import platform
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from slimline import params, processor
from slimline.doctor.finding import Finding
from slimline.errors import TargetError
from slimline.measure import machine
from slimline.targets import device_packages
from slimline.targets.executorch import installed as executorch
from slimline.targets.litert import installed as litert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_PROJECT = Path("pyproject.toml")

_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
"""CPU features that multiply and add bytes in one instruction, as Linux names them."""


def examine() -> Iterator[Finding]:
    """Yield what there is to know, from the interpreter to the accelerator."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    yield _python(project["requires-python"])
    yield _packages(project["dependencies"])
    yield _target("executorch", executorch)
    yield _target("litert", litert)
    yield _cpu()
    yield _threads()
    yield _accelerator()


def _python(wanted: str) -> Finding:
    least, below = (tuple(map(int, each)) for each in re.findall(r"(\d+)\.(\d+)", wanted))
    found = sys.version_info[:2]
    told = f"{platform.python_version()}; {wanted} is supported"
    return Finding("python", least <= found < below, told)


def _packages(pins: list[str]) -> Finding:
    """Compare what is installed with what the results in git were made with."""
    differing = []
    for pin in pins:
        name, _, wanted = pin.partition("==")
        found = _version(name)
        if found is None:
            differing.append(f"{name} is missing")
        elif found.partition("+")[0] != wanted:
            differing.append(f"{name} is {found}, not {wanted}")
    if not differing:
        return Finding("packages", True, f"all {len(pins)} as pinned")
    return Finding(
        "packages",
        False,
        f"{'; '.join(differing)}: other versions give other bytes, or do not run; "
        "`make .venv/installed` sets up the pinned ones",
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _target(name: str, installed: ModuleType) -> Finding:
    """Tell whether the packages of a target are here, and were tried together."""
    found = installed.versions()
    if not any(release for package, release in found.items() if package != "torch"):
        return Finding(name, True, f"not installed; only targets: [{name}] needs it")
    try:
        installed.require()
    except TargetError as error:
        return Finding(name, False, str(error))
    return Finding(name, True, f"{device_packages.told(found)}: tried")


def _cpu() -> Finding:
    cpu = processor.cpu()
    has_dot = bool(_DOT_PRODUCTS & set(cpu.flags))
    told = (
        "multiplies and adds bytes in one instruction: int8 gains most here"
        if has_dot
        else "has no instruction for int8 dot products, as far as is known: int8 gains less here, "
        "and weights of 8 bits may saturate (quantization.weight_bits: 7 does not)"
    )
    return Finding("cpu", True, f"{machine.name(cpu.model, ' '.join(cpu.flags))} {told}")


def _threads() -> Finding:
    cores, asked = os.cpu_count() or 1, params.load_run().num_threads
    told = f"{cores} CPUs, num_threads {asked} in params.yaml (another number gives other bytes)"
    return Finding("threads", asked <= cores, told)


def _accelerator() -> Finding:
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    told = "none: training runs on the CPU" if found is None else f"{found.type}: trained there"
    return Finding("accelerator", True, told)
