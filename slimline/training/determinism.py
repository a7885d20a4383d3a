"""What makes two runs give the same bytes: seeds, threads, deterministic kernels, the device."""

import os
import platform
import random
from importlib import metadata
from typing import Any

import numpy as np
import torch

from slimline import processor
from slimline.params import RunParams

_PACKAGES = ("torchvision", "torchao", "timm", "numpy", "pillow")
"""What computes in a training, beside torch, which tells its build as well."""

_ISA_LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR")
"""Variables of the environment by which torch's libraries choose other kernels."""

MEMORY_FORMAT = torch.channels_last
"""Of networks and images; depthwise convolutions are several times faster with it on a CPU."""


def start(run: RunParams) -> None:
    """Seed every generator, fix the number of threads, refuse kernels that do not repeat.

    On a GPU a layer may have no other: gradients of adaptive pooling to more than one pixel, as in
    VGG, or of bilinear resizing. torch warns of those by name, and they are used.
    """
    # cuBLAS reads it when the first handle is made; without it deterministic mode refuses to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(run.seed)
    np.random.seed(run.seed)
    torch.manual_seed(run.seed)
    torch.set_num_threads(run.num_threads)
    torch.use_deterministic_algorithms(True, warn_only=device().type != "cpu")
    # Filling fresh memory with NaN is for finding bugs, and costs time in every layer.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    allow_tf32(False)


def allow_tf32(is_allowed: bool) -> None:
    """Say whether a GPU may shorten the factors of float32 products; torch begins with yes.

    torch's newer switches, one for each kind of product, leave the older ones as they are, and
    torch.export refuses to work where they differ.
    """
    torch.backends.cudnn.allow_tf32 = is_allowed
    torch.backends.cuda.matmul.allow_tf32 = is_allowed


def device() -> torch.device:
    """Return the accelerator of this machine, or the CPU where there is none."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def circumstances() -> dict[str, Any]:
    """Return what of this machine decides the bytes of a training, beside code, params and data."""
    return {
        "device": device().type,
        "cpu": processor.cpu().model,
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "num_threads": torch.get_num_threads(),
        "torch": torch.__version__.partition("+")[0],
    }


def identity() -> dict[str, Any]:
    """Return the same so closely that where nothing differs the bytes go on alike."""
    return {
        **circumstances(),
        "device": _device_name(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "cpu": dict(torch.cpu.get_capabilities()),
        "limits": {name: os.environ.get(name) for name in _ISA_LIMITS},
    }


def _device_name() -> str:
    kind = device().type
    return torch.cuda.get_device_name() if kind == "cuda" else kind
