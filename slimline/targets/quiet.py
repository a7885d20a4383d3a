"""Keeps runtimes' converters from telling of their insides, which no user can act upon.

Free of torch.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator

from slimline.errors import TargetError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence their logs and warnings; what their C++ writes to stderr stays."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextlib.contextmanager
def converting(target: str, name: str) -> Iterator[None]:
    """Let a converter, which is called so, refuse a network in one sentence; silent else.

    Raises:
        TargetError: it failed, with an exception of whatever class.
    """
    try:
        with quiet():
            yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        first, *_ = [*str(error).strip().splitlines(), type(error).__name__]
        raise TargetError(
            f"device_export@{target}: {name} does not convert this network: {first.rstrip('.')}; "
            f"take {target} from targets, or a network without that operator; the .onnx does not "
            "depend on it"
        ) from error
