"""The processor of this machine: what times belong to, and what decides the bytes of a training.

It is sent to other machines as it is, so it takes nothing of Slimline, and runs on Python 3.8 too.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_INT8_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""CPU features that decide how fast int8 is, as Linux names them."""
_OF_APPLE = {"asimddp": "hw.optional.arm.FEAT_DotProd", "i8mm": "hw.optional.arm.FEAT_I8MM"}
"""What macOS calls them."""


@dataclass(frozen=True)
class Cpu:
    """A processor."""

    model: str
    flags: list[str]
    """Those that matter to int8."""


def cpu() -> Cpu:
    """Return model and features, as Linux and macOS tell them; elsewhere what the platform says."""
    if sys.platform == "darwin":
        return _of_macos()
    if not _CPUINFO.is_file():
        return Cpu(platform.processor() or platform.machine(), [])
    text = _CPUINFO.read_text(encoding="utf-8")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    known = set(found[1].split()) if found else set()
    name = model[1].strip() if model else " ".join([platform.machine(), *_ids(text)])
    return Cpu(name, [flag for flag in _INT8_FLAGS if flag in known])


def _ids(text: str) -> list[str]:
    """Return what tells ARM's cores apart where they have no name, of each kind of core once."""
    found = re.findall(r"^CPU (?:implementer|variant|part)\s*:\s*(\S+)$", text, re.MULTILINE)
    return list(dict.fromkeys(found))


def _of_macos() -> Cpu:
    name = _sysctl("machdep.cpu.brand_string") or platform.machine()
    return Cpu(name, [flag for flag, key in _OF_APPLE.items() if _sysctl(key) == "1"])


def _sysctl(key: str) -> str:
    asked = ["/usr/sbin/sysctl", "-n", key]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
