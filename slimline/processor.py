"""The processor of this machine: what times belong to, and what decides the bytes of a training."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_INT8_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""CPU features that decide how fast int8 is, as Linux names them."""


@dataclass(frozen=True)
class Cpu:
    """A processor."""

    model: str
    flags: list[str]
    """Those that matter to int8."""


def cpu() -> Cpu:
    """Return model and features, as Linux tells them; elsewhere what the platform says."""
    if not _CPUINFO.is_file():
        return Cpu(platform.processor() or platform.machine(), [])
    text = _CPUINFO.read_text(encoding="utf-8")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    known = set(found[1].split()) if found else set()
    name = model[1].strip() if model else platform.machine()
    return Cpu(name, [flag for flag in _INT8_FLAGS if flag in known])
