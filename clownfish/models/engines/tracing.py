"""A network as a flat torch.fx graph for one input shape, which static quantisation needs.

`torch.fx.symbolic_trace` stops where Python asks a tensor for its shape. Here every value is computed beside its node
on an example, so that shapes, devices and what follows from them are plain Python values, fixed in the graph. What
follows from the example's *numbers* (`item()`, an `if` on a tensor) is refused: it would be wrong for the next window.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

_SHAPE_QUERIES = {"size", "dim", "ndimension", "numel", "stride", "is_contiguous", "is_floating_point", "element_size"}
"""Methods that answer from a tensor's shape and type alone."""


class _Valued(fx.Proxy):
    """A node of the graph, and what it is for the example."""

    value: Any = None

    @property
    def shape(self) -> Any:
        return self.value.shape

    @property
    def ndim(self) -> Any:
        return self.value.ndim

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def device(self) -> Any:
        return self.value.device

    def __len__(self) -> int:
        return len(self.value)


class _Tracer(fx.Tracer):
    def __init__(self, example: Tensor) -> None:
        super().__init__()
        self._example = example
        self._computing = False

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Valued(node, self)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        valued: Any = obj
        return iter([valued[i] for i in range(len(valued.value))])

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **named: Any) -> Any:
        proxy = super().create_proxy(kind, target, args, kwargs, *more, **named)
        if not isinstance(proxy, _Valued) or kind == "output":
            return proxy
        proxy.value = self._compute(kind, target, *fx.node.map_aggregate((args, kwargs), _value))
        if isinstance(proxy.value, (Tensor, tuple, list)) and not isinstance(proxy.value, torch.Size):
            return proxy
        if kind == "call_method" and target in _SHAPE_QUERIES:
            return proxy.value
        raise fx.proxy.TraceError(f"{target} makes a Python value of a tensor's numbers")

    def _compute(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        self._computing = True
        try:
            if kind == "placeholder":
                return self._example
            if kind == "call_function":
                return target(*args, **kwargs)
            if kind == "call_method":
                return getattr(args[0], target)(*args[1:], **kwargs)
            if kind == "call_module":
                return self.root.get_submodule(target).forward(*args, **kwargs)
            return _attribute(self.root, target)
        finally:
            self._computing = False


def _value(each: Any) -> Any:
    return each.value if isinstance(each, _Valued) else each


def flat_graph(network: nn.Module, example: Tensor) -> fx.GraphModule:
    """`network`, which takes one tensor, as a graph for inputs of exactly the example's shape.

    Shares the network's parameters. Raises torch.fx.proxy.TraceError where the network's course depends on the numbers.
    """
    with torch.no_grad():
        tracer = _Tracer(example)
        graph = tracer.trace(network)
        module = fx.GraphModule(tracer.root, graph)
        module.graph.eliminate_dead_code()
        module.recompile()
        return module


_CONVOLUTIONS: dict[Any, Any] = {nn.functional.conv2d: nn.Conv2d, nn.functional.conv3d: nn.Conv3d}
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def convolutions_as_modules(flat: fx.GraphModule) -> None:
    """Replace each `F.conv2d` and `F.conv3d` over fixed weights by torch.nn's module, which quantisation fuses with the
    batch norm and the ReLU that follow."""
    for node in list(flat.graph.nodes):
        kind = _CONVOLUTIONS.get(node.target) if node.op == "call_function" else None
        if kind is None:
            continue
        given = dict(zip(_ARGUMENTS, node.args, strict=False)) | dict(node.kwargs)
        sources = [given["weight"], given.get("bias")]
        if any(each is not None and each.op != "get_attr" for each in sources):
            continue
        weight, bias = (None if each is None else _fixed(_attribute(flat, each.target)) for each in sources)
        assert weight is not None  # only a bias may be missing
        groups = given.get("groups", 1)
        options = {name: given[name] for name in ("stride", "padding", "dilation") if name in given}
        with torch.device("meta"):
            module = kind(
                weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]), groups=groups, bias=False, **options
            )
        module.weight = weight
        module.bias = bias
        flat.add_module(f"conv_{node.name}", module.eval())
        with flat.graph.inserting_before(node):
            new = flat.graph.call_module(f"conv_{node.name}", (given["input"],))
        node.replace_all_uses_with(new)
        flat.graph.erase_node(node)
    flat.graph.eliminate_dead_code()
    flat.recompile()


def parted(flat: fx.GraphModule) -> fx.GraphModule:
    """A flat graph in three: `submod_0` before the first convolution (perhaps missing), `submod_1` up to the last one
    with the norm, sum and activation that belong to it, `submod_2` the rest.

    Raises torch.fx.proxy.TraceError where there is no convolution.
    """
    nodes = [node for node in flat.graph.nodes if node.op.startswith("call")]
    convolutions = [i for i, node in enumerate(nodes) if _is_convolution(flat, node)]
    if not convolutions:
        raise fx.proxy.TraceError("there is no convolution in it")
    first, last = convolutions[0], convolutions[-1]
    while last + 1 < len(nodes) and _goes_with_convolution(flat, nodes[last + 1]):
        last += 1
    part = {node: 0 if i < first else 1 if i <= last else 2 for i, node in enumerate(nodes)}
    return split_module(flat, flat, lambda node: part.get(node, 1))


_SIMPLE: tuple[Any, ...] = (
    nn.functional.relu, nn.functional.relu6, nn.functional.hardtanh, torch.relu, torch.add, operator.add, operator.iadd,
    nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.BatchNorm2d, nn.BatchNorm3d, nn.Identity,
)  # fmt: skip


def _goes_with_convolution(flat: fx.GraphModule, node: fx.Node) -> bool:
    kind = type(flat.get_submodule(str(node.target))) if node.op == "call_module" else node.target
    return kind in (*_SIMPLE, "relu", "relu_", "add", "add_")


def _is_convolution(flat: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(flat.get_submodule(str(node.target)), (nn.Conv2d, nn.Conv3d))


def _fixed(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach(), requires_grad=False)


def _attribute(root: Any, target: str) -> Any:
    for name in target.split("."):
        root = getattr(root, name)
    return root
