"""Which ExecuTorch is here, and whether it was tried with the torch that is here. Free of torch."""

from slimline.targets import device_packages

LOCK = "requirements-executorch.lock"

_TRIED = [{"executorch": "1.5.1", "torch": "2.14.1"}]
"""Releases that benchmarks/executorch_families.py was run with."""


def require() -> None:
    """Refuse to go on without ExecuTorch, or with a torch that it is not known to fit.

    Raises:
        TargetError: it is not installed, or was not tried with this torch.
    """
    device_packages.require(versions(), _TRIED, target="executorch", lock=LOCK)


def versions() -> dict[str, str]:
    """Return the releases of ExecuTorch and torch; empty: none."""
    return device_packages.versions("executorch", "torch")
