import warnings

import pytest

from slimline.errors import TargetError
from slimline.targets import quiet


def test_what_a_converter_fails_with_is_one_sentence() -> None:
    with (
        pytest.raises(TargetError) as caught,
        quiet.converting("litert", "LiteRT's converter"),
    ):
        raise RuntimeError("Lowering not found: aten.special_bessel_j0.default.\nMore lines\n")
    told = str(caught.value)
    assert told.startswith("device_export@litert: LiteRT's converter does not convert this network")
    assert "aten.special_bessel_j0.default; take litert from targets" in told
    assert "\n" not in told


def test_an_exception_without_a_text_is_named() -> None:
    with (
        pytest.raises(TargetError, match="does not convert this network: KeyError"),
        quiet.converting("executorch", "ExecuTorch"),
    ):
        raise KeyError


def test_a_full_disk_is_no_matter_of_the_network() -> None:
    with pytest.raises(OSError, match="No space left"), quiet.converting("litert", "LiteRT"):
        raise OSError(28, "No space left on device")


def test_a_converter_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    with quiet.converting("litert", "LiteRT"):
        warnings.warn("of its insides", stacklevel=1)
    assert not recwarn.list
