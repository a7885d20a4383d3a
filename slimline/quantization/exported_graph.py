"""A network as the graph that is quantized: exported for any number of images, BatchNorm folded.

Folding is done on the graph of operators, so that it takes any network that torch can export,
whatever its modules are called and wherever its BatchNorm stands. Weights keep the names that they
have in the network.
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from slimline.errors import NetworkError
from slimline.quantization import (
    attributes,
    computed_weights,
    fixed_tables,
    float_operators,
    in_place,
    inlined_blocks,
)
from slimline.quantization.operators import (
    BATCHNORM,
    CONVOLUTION,
    LINEAR,
    RESHAPES,
    WEIGHTED,
    rank,
    shape,
    tensor_inputs,
    with_defaults,
)
from slimline.targets.onnxruntime import to_onnx

_aten = torch.ops.aten

_PADDED_BY_NAME = _aten.conv2d.padding

_SAME, _ROUNDING = 0.05, 1e-4
"""Of how logits move between images, and of the largest, that rounding in other places may take."""
_NUDGE, _NUDGED = 1e-6, 10
"""Of each pixel, some bits of float32; and how often what that changes may be what folding does."""

_CASTS = {
    _aten.to.dtype,
    _aten.to.dtype_layout,
    _aten.to.device,
    _aten.to.other,
    _aten.type_as.default,
}
"""What returns the very value that it is given, where type and device are those already."""

_RESHAPES = {
    _aten.view.default,
    _aten.reshape.default,
    _aten.view_as.default,
    _aten.reshape_as.default,
    _aten.unflatten.int,
}
"""What gives a value another shape; `reshape` does so whatever the order of its bytes."""


def of(network: nn.Module, example: Tensor) -> GraphModule:
    """Return a copy of a network, in evaluation mode, as a graph of operators.

    `example` is float32 [2 or more, channels, height, width]; the graph takes any batch from 1 up.
    What `forward` makes of numbers alone, as tables of places, is computed once.

    Raises:
        NetworkError: the network's `forward` cannot be followed for any number of images, or draws
            numbers by chance.
    """
    program = to_onnx.program(copy.deepcopy(network).eval(), example)
    graph: GraphModule = program.module()
    _refuse_generators(graph)
    inlined_blocks.inline(graph)
    attributes.use_one_name(graph)
    _drop_casts(graph)
    _pad_by_numbers(graph)
    fixed_tables.compute(graph)
    graph.recompile()
    return graph


def folded(network: nn.Module, example: Tensor) -> GraphModule:
    """Return the same without BatchNorm, each layer in the form that int8 has kernels for.

    - A weight that `forward` computes from others, as standardised ones, is computed once.
    - BatchNorm becomes part of the layer before it. One that stands elsewhere between bytes, as in
      DenseNet, becomes a depthwise convolution of 1 x 1; between floats, as behind a GELU, a
      product and a sum.
    - A linear layer of sequences or maps reads rows, [images x places, features].
    """
    graph = of(network, example)
    in_place.replace(graph)
    _say_batch_as_rest(graph)
    computed_weights.compute(graph)
    _fold_batchnorms(graph)
    _read_rows(graph)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    attributes.drop_unused(graph)
    graph.recompile()
    _answers_as(network, graph, example.shape)
    return graph


def _answers_as(network: nn.Module, graph: GraphModule, shape: Sequence[int]) -> None:
    """Compare answers of a graph with its network's; rounding alone may tell them apart.

    How much that is, is asked of the network itself where more is seen than usual.

    Raises:
        NetworkError: they are others.
    """
    images = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    # With gradients, as code that computes a part again wants some.
    found = graph(images.clone()).detach()
    expected = copy.deepcopy(network).eval()(images.clone()).detach()
    spread = (expected.amax(0) - expected.amin(0)).max()
    allowed = _SAME * spread + _ROUNDING * expected.abs().max()
    difference = (found - expected).abs().max()
    if expected.isfinite().all() and not difference <= allowed:
        allowed += _NUDGED * _sensitivity(network, images, expected)
    if expected.isfinite().all() and not difference <= allowed:
        raise NetworkError(
            f"answers otherwise as the graph that is quantized: by {difference:.2g}, where "
            f"its logits move by {spread:.2g} from image to image; a forward that draws numbers by "
            "chance, or changes in place what its layers compute with, cannot be "
            "quantized: any other is a fault of Slimline's, please report it"
        )


def _sensitivity(network: nn.Module, images: Tensor, answers: Tensor) -> Tensor:
    """Return by how much a network answers otherwise when the last bits of its images are others.

    Such images may be unlike all that it was trained on, so that it is much. It is 0 where a
    network answers the same images in two ways, of which chance is the reason.
    """
    noise = _NUDGE * torch.randn(*images.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        again, nudged = (
            copy.deepcopy(network).eval()(each) for each in (images.clone(), images * (1 + noise))
        )
    is_by_chance = not torch.equal(again, answers)
    return answers.new_zeros(()) if is_by_chance else (nudged - answers).abs().max()


def _refuse_generators(graph: GraphModule) -> None:
    """Refuse what takes a `torch.Generator`: that of a graph goes on from one call to the next.

    Raises:
        NetworkError: there is such an operator.
    """
    for node in graph.graph.nodes:
        if node.kwargs.get("generator") is not None:
            raise NetworkError(
                f"draws numbers by chance ({node}), with a torch.Generator: draw them once, in "
                "__init__, and register them as a buffer"
            )


def _drop_casts(graph: GraphModule) -> None:
    """Remove what would change a type and changes none, with checks of types, in place."""
    for node in list(graph.graph.nodes):
        if node.target is _aten._assert_tensor_metadata.default:
            graph.graph.erase_node(node)
        elif node.target in _CASTS and not _is_copy(node):
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)


def _is_copy(cast: Node) -> bool:
    """Does a cast make another value than it is given?"""
    options = [each for each in (*cast.args[1:], *cast.kwargs.values()) if each is not None]
    before, after = (each.meta["val"] for each in (tensor_inputs(cast)[0], cast))
    is_asked = any(each is True for each in options)  # to copy, or not to wait
    return is_asked or before.dtype != after.dtype or before.device != after.device


def _say_batch_as_rest(graph: GraphModule) -> None:
    """Let what is reshaped say its first dimension as -1, in place, where the others are known."""
    for node in graph.graph.nodes:
        if node.target not in _RESHAPES or not shape(node):
            continue
        first, *others = shape(node)
        if isinstance(first, torch.SymInt) and all(isinstance(each, int) for each in others):
            node.target = _aten.reshape.default
            node.args, node.kwargs = (node.args[0], [-1, *others]), {}


def _pad_by_numbers(graph: GraphModule) -> None:
    """Spell `padding="same"` out, in place."""
    for node in list(graph.graph.nodes):
        if node.target is not _PADDED_BY_NAME:
            continue
        image, weight, bias, stride, padding, dilation, groups = with_defaults(
            node.args, (None, None, None, (1, 1), "valid", (1, 1), 1)
        )
        kernel = shape(weight)[2:]
        spare = [0, 0]
        if padding == "same":
            spare = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        before = [each // 2 for each in spare]
        uneven = [each % 2 for each in spare]
        with graph.graph.inserting_before(node):
            if any(uneven):
                ends = [0, uneven[1], 0, uneven[0]]
                padded = graph.graph.call_function(_aten.pad.default, (image, ends))
                padded.meta = {"val": _aten.pad.default(image.meta["val"], ends)}
                image = padded
            spelled = graph.graph.call_function(
                CONVOLUTION, (image, weight, bias, list(stride), before, list(dilation), groups)
            )
        spelled.meta = dict(node.meta)
        node.replace_all_uses_with(spelled)
        graph.graph.erase_node(node)


def _fold_batchnorms(graph: GraphModule) -> None:
    for node in [each for each in graph.graph.nodes if each.target is BATCHNORM]:
        layer = _own_layer(graph, node)
        if layer is not None:
            _fold_into(graph, layer, node)
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    floats = float_operators.float_nodes(graph.graph, ())
    left = [each for each in graph.graph.nodes if each.target is BATCHNORM]
    steps = {node: _of_batchnorm(graph, node) for node in left}
    # One that is called several times is replaced by one step, which has one shape.
    apart = {_path(node) for node in left if node in floats or rank(node) != 4}
    for node in left:
        _replace(graph, node, steps[node], is_float=_path(node) in apart)


def _own_layer(graph: GraphModule, batchnorm: Node) -> Node | None:
    """Return the layer whose output alone is normalised, if its weight is no other layer's too."""
    source: Any = batchnorm.args[0]
    while (
        source.target in RESHAPES
        and len(source.users) == 1
        and rank(batchnorm) == 2
        and shape(source)[-1] == shape(source.args[0])[-1]
    ):
        source = source.args[0]
    is_layer = source.target in WEIGHTED and len(source.users) == 1
    if not is_layer or (source.target is LINEAR and rank(batchnorm) != 2):
        return None
    weights = tensor_inputs(source)[1:]
    parameters = dict(graph.named_parameters())  # a kernel made of numbers is none
    is_own = all(str(each.target) in parameters and len(each.users) == 1 for each in weights)
    layer: Node = source
    return layer if is_own else None


def _fold_into(graph: GraphModule, layer: Node, batchnorm: Node) -> None:
    """Make a BatchNorm part of a layer's weight and bias; a bias that it lacks, it gets."""
    weight, bias = (_argument(layer, place) for place in (1, 2))
    assert weight is not None
    fuse: Any = fuse_conv_bn_weights if layer.target is CONVOLUTION else fuse_linear_bn_weights
    gamma, beta, mean, variance, epsilon = _of_batchnorm(graph, batchnorm)
    fused = fuse(
        _parameter(graph, weight), _parameter(graph, bias), mean, variance, epsilon, gamma, beta
    )
    name = str(weight.target)
    attributes.replace(graph, name, fused[0])
    bias_name = str(bias.target) if bias is not None else _bias_of(name)
    if bias is None:
        with graph.graph.inserting_after(weight):
            # It is fixed, as torch's folding of modules leaves it.
            bias = attributes.add(graph, bias_name, fused[1].detach(), is_trained=False)
        bias.meta = {"val": batchnorm.meta["val"].new_empty(len(fused[1]))}
        layer.args = (*layer.args[:2], bias, *layer.args[3:])
    else:
        attributes.replace(graph, bias_name, fused[1])


_Normalisation: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, float]
"""Factor, shift, mean, variance and epsilon."""


def _replace(graph: GraphModule, batchnorm: Node, own: _Normalisation, *, is_float: bool) -> None:
    """Put an affine step in the place of a BatchNorm that no layer before it can take."""
    gamma, beta, mean, variance, epsilon = own
    factor = torch.rsqrt(variance + epsilon) * gamma
    shift = beta - mean * factor
    path = _path(batchnorm)
    image, channels = batchnorm.args[0], len(mean)
    form = (channels, *[1] * (rank(batchnorm) - 2)) if is_float else (channels, 1, 1, 1)
    with graph.graph.inserting_before(batchnorm):
        weight = attributes.add(graph, f"{path}.weight", factor.detach().reshape(form))
        form = form if is_float else (channels,)
        bias = attributes.add(graph, f"{path}.bias", shift.detach().reshape(form))
        if is_float:
            product = graph.graph.call_function(_aten.mul.Tensor, (image, weight))
            product.meta = dict(batchnorm.meta)
            scaled = graph.graph.call_function(_aten.add.Tensor, (product, bias))
        else:
            scaled = graph.graph.call_function(
                CONVOLUTION, (image, weight, bias, [1, 1], [0, 0], [1, 1], channels)
            )
    scaled.meta = dict(batchnorm.meta)
    batchnorm.replace_all_uses_with(scaled)
    graph.graph.erase_node(batchnorm)


def _read_rows(graph: GraphModule) -> None:
    """Let linear layers read [rows, features], for which there is an int8 kernel with a bias."""
    for node in [each for each in graph.graph.nodes if each.target is LINEAR]:
        sizes = [-1 if isinstance(each, torch.SymInt) else each for each in shape(node)]
        if len(sizes) < 3 or sizes.count(-1) > 1:
            continue
        image = node.args[0]
        assert isinstance(image, Node)
        width = shape(image)[-1]
        with graph.graph.inserting_before(node):
            rows = graph.graph.call_function(_aten.reshape.default, (image, [-1, width]))
        rows.meta = {"val": image.meta["val"].reshape(-1, width)}
        node.replace_input_with(image, rows)
        with graph.graph.inserting_after(node):
            back = graph.graph.call_function(_aten.reshape.default, (node, sizes))
        back.meta = dict(node.meta)
        node.replace_all_uses_with(back, delete_user_cb=partial(_is_other, back))
        node.meta = {**node.meta, "val": node.meta["val"].reshape(-1, sizes[-1])}


def _is_other(node: Node, user: Node) -> bool:
    return user is not node


def _path(batchnorm: Node) -> str:
    """Return the name of a BatchNorm's module."""
    return str(tensor_inputs(batchnorm)[-1].target).rpartition(".")[0]


def _of_batchnorm(graph: GraphModule, node: Node) -> _Normalisation:
    """Return what a BatchNorm goes by; without weights the factor is 1."""
    gamma, beta, mean, variance = (_tensor(graph, _argument(node, place)) for place in range(1, 5))
    epsilon: Any = node.args[7]
    if mean is None or variance is None or node.args[5]:
        raise NetworkError(
            "normalises each batch by its own mean (a BatchNorm with track_running_stats=False, or "
            "kept in training mode), which an image alone does not have: it cannot be quantized"
        )
    return (
        torch.ones_like(mean) if gamma is None else gamma,
        torch.zeros_like(mean) if beta is None else beta,
        mean,
        variance,
        epsilon,
    )


def _argument(node: Node, place: int) -> Node | None:
    found = node.args[place] if place < len(node.args) else None
    assert found is None or isinstance(found, Node)
    return found


def _tensor(graph: GraphModule, node: Node | None) -> Tensor | None:
    return None if node is None else _value(graph, node)


def _parameter(graph: GraphModule, node: Node | None) -> nn.Parameter | None:
    return None if node is None else graph.get_parameter(str(node.target))


def _value(graph: GraphModule, node: Node) -> Tensor:
    """Return what a node that depends on weights alone is."""
    if node.op == "get_attr":
        return attributes.get(graph, str(node.target))
    arguments = torch.fx.map_arg(node.args, lambda each: _value(graph, each))
    options = torch.fx.map_arg(node.kwargs, lambda each: _value(graph, each))
    with torch.no_grad():
        computed: Tensor = node.target(*arguments, **options)  # type: ignore[operator]
    return computed


def _bias_of(weight: str) -> str:
    """Return the name of a bias by that of the weight, of which a module may have several."""
    path, dot, own = weight.rpartition(".")
    return path + dot + (own.replace("weight", "bias") if "weight" in own else f"{own}_bias")
