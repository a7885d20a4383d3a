"""Questions about a small graph, and changes of it."""

import numpy as np
import onnx_ir as ir
import pytest

from slimline.targets.onnxruntime import graph


class Model:
    """`b = (input + one) ** 2`, rectified."""

    def __init__(self) -> None:
        self.input, one = (ir.val(name, ir.DataType.FLOAT, [1]) for name in ("input", "one"))
        one.const_value = ir.tensor(np.ones(1, np.float32))
        self.add = ir.node("Add", [self.input, one])
        self.square = ir.node("Mul", [*self.add.outputs, *self.add.outputs])
        self.relu = ir.node("Relu", self.square.outputs)
        self.graph = ir.Graph(
            [self.input], self.relu.outputs, nodes=[self.add, self.square, self.relu],
            initializers=[one], opset_imports={"": 18},
        )  # fmt: skip

    def operators(self) -> list[str]:
        return [node.op_type for node in self.graph]


@pytest.fixture
def model() -> Model:
    return Model()


def test_makers(model: Model) -> None:
    assert graph.maker(model.square, 0) is graph.maker(model.square, 1) is model.add
    assert graph.maker(model.add, 0) is graph.maker(model.add, 1) is None
    assert graph.maker(model.add, 2) is graph.maker(None, 0) is None


def test_constants(model: Model) -> None:
    assert graph.constant(model.add, 1) == 1
    assert graph.constant(model.add, 0) is graph.constant(model.relu, 0) is None
    assert graph.constant(model.add, 2) is graph.constant(None, 0) is None


def test_an_only_user_reads_once_and_is_of_a_kind(model: Model) -> None:
    (squared,) = model.square.outputs
    assert graph.only_user(squared) is graph.only_user(squared, "Relu", "Clip") is model.relu
    assert graph.only_user(squared, "Clip") is None
    assert graph.only_user(model.add.outputs[0]) is None
    assert graph.only_user(model.relu.outputs[0]) is None


def test_only_users_are_followed_as_far_as_they_go(model: Model) -> None:
    assert graph.chain(model.input, "Add", "Mul", "Relu") == [model.add]
    assert graph.chain(model.square.outputs[0], "Relu") == [model.relu]


def test_scale_and_zero_are_of_quantization_alone(model: Model) -> None:
    scale, zero = (graph.add_constant(model.add, np.array(each)) for each in (np.float32(2), 3))
    quantize = ir.node("QuantizeLinear", [model.input, scale, zero])
    assert graph.scale_and_zero(quantize) == (2, 3)
    assert graph.scale_and_zero(ir.node("QuantizeLinear", [model.input, scale])) is None
    assert graph.scale_and_zero(ir.node("Clip", [model.input, scale, zero])) is None
    assert graph.scale_and_zero(None) is None


def test_a_new_constant_may_be_a_further_input(model: Model) -> None:
    graph.set_constant(model.add, 1, np.array([5]))
    graph.set_constant(model.relu, 1, np.array([7]))
    assert graph.constant(model.add, 1) == 5
    assert graph.constant(model.relu, 1) == 7
    assert len(model.graph.initializers) == 3


def test_an_input_is_computed_before_it_is_read(model: Model) -> None:
    tape = ir.tape.Tape()
    tape.op("Neg", model.add.outputs)
    graph.set_input(model.square, 1, tape)
    assert model.operators() == ["Add", "Neg", "Mul", "Relu"]
    assert model.square.inputs == (*model.add.outputs, *tape.nodes[0].outputs)


def test_a_replacement_makes_the_same_output(model: Model) -> None:
    name = model.relu.outputs[0].name
    tape = ir.tape.Tape()
    tape.op("Abs", [tape.op("Neg", model.relu.inputs)])
    graph.replace(model.relu, tape)
    assert model.operators() == ["Add", "Mul", "Neg", "Abs"]
    assert [each.name for each in model.graph.outputs] == [name]


def test_a_stand_in_is_read_instead(model: Model) -> None:
    graph.remove(model.square, model.input)
    assert model.operators() == ["Add", "Relu"]
    assert model.relu.inputs == (model.input,)


def test_what_is_inserted_after_a_value_alone_reads_it(model: Model) -> None:
    tape = ir.tape.Tape()
    negated = tape.op("Neg", model.add.outputs)
    graph.insert_after(model.add.outputs[0], tape)
    assert model.operators() == ["Add", "Neg", "Mul", "Relu"]
    assert graph.only_user(model.add.outputs[0]) is tape.nodes[0]
    assert model.square.inputs == (negated, negated)
