"""What calls what in a network: its graph, layers kept whole."""

from torch import fx, nn

from slimline.errors import NetworkError


class _Tracer(fx.Tracer):
    """Keeps layers whole, also timm's subclasses, of which one has an activation inside."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_layer = isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)
        return is_layer or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> fx.GraphModule:
    """Return the network as a graph of layers; it shares the weights with the original."""
    return fx.GraphModule(network, graph(network))


def graph(network: nn.Module) -> fx.Graph:
    """Return what calls what in a network, its layers kept whole.

    Raises:
        NetworkError: what it calls depends on its input.
    """
    try:
        return _Tracer().trace(network)
    except (fx.proxy.TraceError, TypeError) as error:
        raise NetworkError(
            f"{type(network).__name__}: its forward decides by what it is given, so that it has no "
            f"graph: {error}"
        ) from error
