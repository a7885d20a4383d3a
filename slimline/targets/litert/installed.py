"""Which LiteRT is here, and whether it was tried with the torch that is here. Free of torch."""

from slimline.targets import device_packages

LOCK = "requirements-litert.lock"

_INTERPRETER = "ai-edge-litert"

_TRIED = [
    {
        _INTERPRETER: "2.3.0",
        "litert-converter": "0.5.0",
        "litert-torch": "0.10.0",
        "torch": "2.14.1",
    }
]
"""Releases that benchmarks/litert_families.py was run with."""


def require() -> None:
    """Refuse to go on without what writes a .tflite, or with a torch that it is not known to fit.

    Raises:
        TargetError: it is not installed, or was not tried with this torch.
    """
    device_packages.require(versions(), _TRIED, target="litert", lock=LOCK)


def require_interpreter() -> None:
    """Refuse to go on without what runs a .tflite; any release does.

    Raises:
        TargetError: it is not installed.
    """
    found = device_packages.versions(_INTERPRETER)
    device_packages.require(found, [found], target="litert", lock=LOCK)


def versions() -> dict[str, str]:
    """Return the releases of LiteRT's packages and torch; empty: none."""
    (tried, *_) = _TRIED
    return device_packages.versions(*tried)
