"""Parameters and buffers of a graph, by their names in the network."""

from torch import Tensor, nn
from torch.fx import GraphModule, Node


def get(graph: nn.Module, name: str) -> Tensor:
    """Return a parameter or buffer."""
    path, _, own = name.rpartition(".")
    found: Tensor = getattr(graph.get_submodule(path), own)
    return found


def find(graph: nn.Module, name: str) -> Tensor | None:
    """Return a tensor, or None where there is none of that name."""
    try:
        found: object = get(graph, name)
    except AttributeError:
        return None
    return found if isinstance(found, Tensor) else None


def replace(graph: GraphModule, name: str, value: Tensor) -> None:
    """Put a value in the place of a parameter, in place."""
    path, _, own = name.rpartition(".")
    module = graph.get_submodule(path)
    parameter = value if isinstance(value, nn.Parameter) else nn.Parameter(value.detach())
    setattr(module, own, parameter)


def add(graph: GraphModule, name: str, value: Tensor, *, is_trained: bool = True) -> Node:
    """Return a node, where the graph inserts now, that reads a new parameter of a value.

    It stands in the place of what had that name before.
    """
    path, _, own = name.rpartition(".")
    module = graph.get_submodule(path)
    if hasattr(module, own):
        delattr(module, own)
    module.register_parameter(own, nn.Parameter(value.contiguous(), requires_grad=is_trained))
    node: Node = graph.graph.get_attr(name)
    node.meta = {"val": value}
    return node


def use_one_name(graph: GraphModule) -> None:
    """Let nodes read what has several names, as a tied weight has, by the first of them, in place.

    It loses the others.
    """
    first: dict[int, str] = {}
    own = [
        *graph.named_parameters(remove_duplicate=False),
        *graph.named_buffers(remove_duplicate=False),
    ]
    known = {name: first.setdefault(id(tensor), name) for name, tensor in own}
    readers: dict[str, Node] = {}
    for node in list(graph.graph.nodes):
        if node.op != "get_attr" or str(node.target) not in known:
            continue
        node.target = known[str(node.target)]
        reader = readers.setdefault(node.target, node)
        if reader is not node:
            node.replace_all_uses_with(reader)
            graph.graph.erase_node(node)
    for name, kept in known.items():
        if name != kept:
            path, _, attribute = name.rpartition(".")
            delattr(graph.get_submodule(path), attribute)


def drop_unused(graph: GraphModule) -> None:
    """Remove parameters and buffers that no operator reads any more, in place."""
    used = {str(each.target) for each in graph.graph.nodes if each.op == "get_attr"}
    for name, _ in [*graph.named_parameters(), *graph.named_buffers()]:
        if name not in used:
            path, _, own = name.rpartition(".")
            delattr(graph.get_submodule(path), own)
