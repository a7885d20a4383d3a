"""Which ONNX Runtime reads an .onnx file of a given opset and IR version. Free of torch and onnx.

An opset fixes what the operators mean, the IR version how the file is laid out.
"""

from typing import Any

OLDEST_OPSET = 13
"""The first in which weights can be quantized per channel."""

_RELEASES = (
    ("1.7", 13, 7),
    ("1.8", 14, 7),
    ("1.9", 15, 8),
    ("1.11", 16, 8),
    ("1.12", 17, 8),
    ("1.14", 18, 8),
    ("1.15", 19, 8),
    ("1.16", 19, 9),
    ("1.17", 20, 9),
    ("1.18", 21, 10),
)
"""ONNX Runtime's releases that read a newer opset or IR version than the one before, with both.

From https://onnxruntime.ai/docs/reference/compatibility.html, which ends at 1.20. A release reads
whatever an older one did.
"""

_OPSETS_OF_IR = {7: 13, 8: 15, 9: 19, 10: 21}
"""The first opset that was published with each IR version, from `onnx.helper.VERSION_TABLE`."""

NEWEST_OPSET = _RELEASES[-1][1]
NEWEST_IR_VERSION = _RELEASES[-1][2]


def describe(opset: int, ir_version: int) -> dict[str, Any]:
    """Return what `model.json` says of a file of these versions."""
    return {
        "opset": opset,
        "ir_version": ir_version,
        "oldest_onnxruntime": oldest_runtime(opset, ir_version),
    }


def oldest_ir_version(opset: int) -> int:
    """Return the IR version that an opset, of those that are allowed, was published with."""
    return max(version for version, first in _OPSETS_OF_IR.items() if first <= opset)


def oldest_runtime(opset: int, ir_version: int) -> str:
    """Return the oldest release of ONNX Runtime, as 1.14, that reads both."""
    return next(
        release
        for release, newest_opset, newest_ir_version in _RELEASES
        if opset <= newest_opset and ir_version <= newest_ir_version
    )
