from pathlib import Path

import torch
from torch import Tensor, nn

from slimline.targets.onnxruntime import runtime, to_onnx


class Biased(nn.Module):
    """As timm's LeViT: biases that it computed once, it keeps, unless it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)
        self.biases = nn.Parameter(torch.arange(5.0))
        self.attention_bias_cache: dict[str, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            return self._answer(images, self.biases[[4, 3, 2, 1, 0]])
        if "cpu" not in self.attention_bias_cache:
            self.attention_bias_cache["cpu"] = self.biases[[4, 3, 2, 1, 0]]
        return self._answer(images, self.attention_bias_cache["cpu"])

    def _answer(self, images: Tensor, bias: Tensor) -> Tensor:
        logits: Tensor = self.head(self.a(images).mean((2, 3)))
        return logits + bias


def test_no_graph_holds_what_was_kept_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    # A warning of torch's is an error here.
    network, example = nn.Sequential(Biased()).eval(), torch.randn(2, 3, 8, 8)
    to_onnx.program(network, example)
    to_onnx.write_onnx(network, example, tmp_path / "model.onnx")
    assert network[0].attention_bias_cache == {}
    assert not network[0].training
    session = runtime.load(tmp_path / "model.onnx", num_threads=1)
    answers = torch.from_numpy(runtime.run(session, example.numpy()))
    with torch.no_grad():
        assert torch.allclose(answers, network(example), atol=1e-5)
