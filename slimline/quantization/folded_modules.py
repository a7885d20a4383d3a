"""A network as a graph of modules, each BatchNorm folded into the convolution before it.

For what wants layers as modules, as equalisation does; what is quantized is the exported graph
(`slimline.quantization.exported_graph`), where a BatchNorm that stands elsewhere is folded as well.
"""

import copy
from collections.abc import Callable
from typing import TypeGuard

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from slimline.networks import tracing


def fold(
    network: nn.Module,
    fuse: Callable[[nn.Conv2d, nn.BatchNorm2d], nn.Module] = fuse_conv_bn_eval,
) -> fx.GraphModule:
    """Return the traced network in evaluation mode; `fuse` returns what stands for both modules.

    timm's BatchNorm carries an activation, which takes its place.
    """
    graph = tracing.trace(copy.deepcopy(network).eval())
    for node in list(graph.graph.nodes):
        batchnorm = graph.get_submodule(node.target) if node.op == "call_module" else None
        if not isinstance(batchnorm, nn.BatchNorm2d) or batchnorm.running_mean is None:
            continue
        before = node.args[0]
        conv = _only_convolution(graph, before)
        if conv is None:
            continue
        graph.set_submodule(before.target, fuse(conv, batchnorm))
        activation = getattr(batchnorm, "act", None)
        if activation is None:
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)
        else:
            graph.set_submodule(node.target, activation)
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph.eval()


def is_plain(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
    """Is it a convolution with the weight that it keeps? One of another class may standardise it.

    timm's of TensorFlow's padding, `Conv2dSame`, does not.
    """
    return type(module) is nn.Conv2d or (
        isinstance(module, nn.Conv2d) and type(module).__name__ == "Conv2dSame"
    )


def _only_convolution(graph: fx.GraphModule, node: fx.Node) -> nn.Conv2d | None:
    """Return the convolution that a node calls, if nothing else uses it or what it returns."""
    if node.op != "call_module" or len(node.users) != 1:
        return None
    module = graph.get_submodule(str(node.target))
    calls = sum(each.target == node.target for each in graph.graph.nodes)
    return module if is_plain(module) and calls == 1 else None
