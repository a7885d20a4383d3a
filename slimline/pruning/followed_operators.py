"""Functions, methods and modules that `channel_flow` can send the numbers of channels through."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules import activation, dropout, pooling
from torchvision.ops import StochasticDepth, stochastic_depth

Operators = frozenset[Callable[..., Any] | str]

SPLITS: Operators = frozenset({torch.split, "split"})
"""They are told how wide each part shall be."""
JOINS: Operators = frozenset(
    {
        operator.add,
        operator.iadd,
        operator.sub,
        operator.isub,
        operator.mul,
        operator.imul,
        operator.truediv,
        torch.add,
        torch.sub,
        torch.mul,
        torch.div,
        torch.maximum,
        "add",
        "add_",
        "sub",
        "sub_",
        "mul",
        "mul_",
        "div",
    }
)
"""Each channel of one map meets the same channel of another."""
REDUCTIONS: Operators = frozenset(
    {
        torch.mean,
        torch.amax,
        torch.amin,
        torch.sum,
        torch.std,
        torch.var,
        "mean",
        "amax",
        "amin",
        "sum",
        "std",
        "var",
    }
)
"""Over places, or over maps of the same channels."""
CATS: Operators = frozenset({torch.cat, torch.concat})
"""Channels of several maps one after another."""
SOFTMAXES: Operators = frozenset({torch.softmax, functional.softmax, "softmax"})
"""Over the same."""
STACKS: Operators = frozenset({torch.stack})
"""Maps side by side, in a dimension of their own."""
MOVES: Operators = SPLITS | frozenset(
    {
        torch.chunk,
        torch.transpose,
        torch.permute,
        torch.reshape,
        torch.flip,
        torch.roll,
        operator.getitem,
        "flip",
        "roll",
        "chunk",
        "transpose",
        "permute",
        "reshape",
        "view",
    }
)
"""Channels come to stand elsewhere; the network's own code says where."""
CASTS: Operators = frozenset({"to", "type_as"})
"""What takes the type from the maps that it is given, and the values from what it is asked of."""
LIKES: Operators = frozenset({torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like})
"""What has as many values as the maps that it is given."""
FILLS: Operators = LIKES | {"new_zeros", "new_ones", "new_full", "new_empty"}
"""What takes nothing but the type from the maps that it is asked of."""
PADS: Operators = frozenset({functional.pad})
"""Places, not channels."""
EXPANDS: Operators = frozenset({"expand", "expand_as"})
"""Copies of a place, as what meets it later would make of it."""
GLUS: Operators = frozenset({functional.glu})
"""One half of the channels is a gate of the other."""
KEEPS_PLACES: Operators = frozenset(
    {
        torch.flatten,
        torch.squeeze,
        torch.unsqueeze,
        "flatten",
        "squeeze",
        "unsqueeze",
        "reshape_as",
        "view_as",
        "contiguous",
        "size",
        "dim",
        getattr,
    }
)
"""Channels stay where they are, or become a size."""
SHAPING = MOVES | EXPANDS | KEEPS_PLACES
"""What is told sizes, and computes nothing with them."""
FOLLOWED = REDUCTIONS | SOFTMAXES | STACKS | CATS | MOVES | PADS | EXPANDS | GLUS | KEEPS_PLACES
"""What numbers can be sent through."""
MIXES: Operators = frozenset({functional.layer_norm, functional.group_norm})
"""Each channel stays in its place, and is made of all: none may go."""
ELEMENTWISE: Operators = frozenset(
    {
        torch.relu,
        torch.sigmoid,
        torch.tanh,
        torch.clamp,
        torch.clone,
        torch.abs,
        torch.square,
        torch.pow,
        operator.pow,
        torch.sqrt,
        functional.relu,
        functional.relu6,
        functional.leaky_relu,
        functional.elu,
        functional.gelu,
        functional.silu,
        functional.mish,
        functional.hardswish,
        functional.hardsigmoid,
        functional.hardtanh,
        functional.softplus,
        functional.selu,
        functional.celu,
        functional.logsigmoid,
        functional.softsign,
        functional.softshrink,
        functional.hardshrink,
        functional.tanhshrink,
        functional.threshold,
        functional.rrelu,
        functional.dropout,
        functional.dropout2d,
        stochastic_depth,
        "relu",
        "relu_",
        "sigmoid",
        "tanh",
        "clamp",
        "abs",
        "square",
        "pow",
        "sqrt",
        "clone",
        "detach",
        "to",
        "float",
    }
)
"""Each element by itself."""
POOLS: Operators = frozenset(
    {
        functional.adaptive_avg_pool2d,
        functional.adaptive_max_pool2d,
        functional.avg_pool2d,
        functional.max_pool2d,
    }
)
"""Over the last two dimensions."""
RESIZES: Operators = frozenset({functional.interpolate})
"""Over all dimensions from the third on."""
CHANNELWISE = ELEMENTWISE | POOLS | RESIZES
"""What leaves a channel is made of that channel alone."""
POOL_MODULES = (
    pooling.AdaptiveAvgPool2d,
    pooling.AdaptiveMaxPool2d,
    pooling.AvgPool2d,
    pooling.MaxPool2d,
    pooling.LPPool2d,
    nn.ZeroPad2d,
    nn.ReflectionPad2d,
    nn.ReplicationPad2d,
)
"""As `POOLS`; padding is of the same dimensions."""
RESIZE_MODULES = (nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
"""As `RESIZES`."""
CHANNELWISE_MODULES = (
    nn.Identity,
    StochasticDepth,
    activation.ReLU,
    activation.ReLU6,
    activation.LeakyReLU,
    activation.ELU,
    activation.CELU,
    activation.SELU,
    activation.GELU,
    activation.SiLU,
    activation.Mish,
    activation.Hardswish,
    activation.Hardsigmoid,
    activation.Hardtanh,
    activation.Sigmoid,
    activation.Tanh,
    activation.Softplus,
    activation.LogSigmoid,
    activation.Softsign,
    activation.Softshrink,
    activation.Hardshrink,
    activation.Tanhshrink,
    activation.Threshold,
    activation.RReLU,
    dropout.Dropout,
    dropout.Dropout2d,
    dropout.AlphaDropout,
    *POOL_MODULES,
    *RESIZE_MODULES,
)
