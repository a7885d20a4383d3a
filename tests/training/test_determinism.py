import pytest
import torch

from slimline import params
from slimline.training import determinism


def without_repeating_kernel() -> None:
    """Call what torch has no deterministic kernel for, on a CPU either."""
    torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]), accumulate=False)


def test_a_cpu_refuses_what_does_not_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "device", lambda: torch.device("cpu"))
    determinism.start(params.load_run())
    with pytest.raises(RuntimeError, match="deterministic"):
        without_repeating_kernel()


def test_a_gpu_multiplies_in_full_float32_unless_told_otherwise() -> None:
    """torch itself takes TF32 for convolutions; a file is made and checked with neither."""
    determinism.allow_tf32(True)
    determinism.start(params.load_run())
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    torch.export.export(torch.nn.Conv2d(1, 1, 3), (torch.zeros(1, 1, 3, 3),))


def test_a_gpu_warns_of_what_does_not_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "device", lambda: torch.device("cuda"))
    determinism.start(params.load_run())
    with pytest.warns(UserWarning, match="put_ .*does not have a deterministic implementation"):
        without_repeating_kernel()
