from pathlib import Path

import numpy as np
import onnx

from slimline.artifacts import description
from slimline.data import split_files
from slimline.targets.runtimes import Deployable


def test_all_weights_are_float16_and_what_goes_in_and_out_float32(pipeline: Path) -> None:
    graph = onnx.load(pipeline / "models" / "float16" / "model.onnx").graph
    weights = {each.data_type for each in graph.initializer if len(each.dims) > 1}
    assert weights == {onnx.TensorProto.FLOAT16}
    ends = [*graph.input, *graph.output]
    assert {each.type.tensor_type.elem_type for each in ends} == {onnx.TensorProto.FLOAT}


def test_it_answers_as_the_pruned_model_does(pipeline: Path) -> None:
    models = pipeline / "models"
    split = split_files.load(pipeline / "data" / "prepared" / "validation")
    logits = [
        Deployable(models / name / "model.onnx").predict(
            split.images, description.frame(models / name), num_threads=1
        )
        for name in ("prune", "float16")
    ]
    differs = np.abs(logits[1] - logits[0]).max()
    assert 0 < differs < 0.02 * np.ptp(logits[0])
