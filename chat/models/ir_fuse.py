"""Linear layers of one input computed as one, as vLLM merges the projections of a layer.

Queries, keys and values are three products with one input; the gate of a feed-forward layer and
what it gates are two. Where a token is alone each of them is small, and to begin it, to read its
input and to wait for all cores at its end takes a good part of its time. Fused, their matrices lie
one below the other, and are what they were: weights, scales, zeros and biases.

Adapters need the layers one by one (see `ir_layers`).
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from openvino import Model, Node, Output, Shape, Tensor, opset13

#: What unpacks a matrix, from how it is kept to what is multiplied, and of how many values.
UNPACKING = {"Convert": 1, "Reshape": 1, "Subtract": 2, "Multiply": 2}


class _Layer(NamedTuple):
    """A product with a constant matrix, [outputs, inputs]."""

    product: Node
    #: That, or the sum of it and the bias.
    last: Node
    matrix: Output
    bias: Output | None


def fuse(model: Model) -> None:
    """Fuse the layers of `model` that have one input, and are kept in one way."""
    alike: defaultdict[Hashable, list[_Layer]] = defaultdict(list)
    for op in model.get_ordered_ops():
        if layer := _layer(op):
            kept = _kept(layer.matrix), layer.bias and _kept(layer.bias)
            alike[op.input_value(0), kept].append(layer)
    for layers in alike.values():
        if len(layers) > 1:
            _fuse(layers)
    model.validate_nodes_and_infer_types()


def _layer(op: Node) -> _Layer | None:
    """Return the layer whose product `op` is, if it is one that can be fused."""
    if op.get_type_name() != "MatMul" or not op.get_attributes()["transpose_b"]:
        return None
    matrix = op.input_value(1)
    if op.get_attributes()["transpose_a"] or not _kept(matrix) or len(matrix.get_shape()) != 2:
        return None
    readers = [reader.get_node() for reader in op.output(0).get_target_inputs()]
    if len(readers) == 1 and readers[0].get_type_name() == "Add":
        bias = readers[0].input_value(1)
        if _kept(bias) and list(bias.get_shape()) == list(matrix.get_shape())[:1]:
            return _Layer(op, readers[0], matrix, bias)
    return _Layer(op, op, matrix, None)


def _kept(value: Output) -> Hashable:
    """Return how a constant is kept and unpacked, whatever its rows; None if in no known way.

    It has to be kept row by row, and fill whole bytes, so that another can follow it.
    """
    if value.get_partial_shape().is_dynamic or not value.get_shape():
        return None
    op, kind, shape = value.get_node(), value.get_node().get_type_name(), [*value.get_shape()]
    found = (kind, str(value.get_element_type()), *shape[1:])
    if kind == "Constant":
        bits = int(np.prod(shape)) * value.get_element_type().bitwidth
        return None if bits % 8 else found
    parts = []
    for place in range(UNPACKING.get(kind, 0)):
        given = op.input_value(place)
        part = _kept(given)
        if not part or given.get_shape()[0] != shape[0]:
            return None
        parts.append(part)
    return (*found, *parts) if parts else None


def _fuse(layers: Sequence[_Layer]) -> None:
    product = opset13.matmul(
        layers[0].product.input_value(0), _joined([layer.matrix for layer in layers]), False, True
    )
    if biases := [layer.bias for layer in layers if layer.bias]:
        product = opset13.add(product, _joined(biases))
    sizes = np.array([layer.matrix.get_shape()[0] for layer in layers])
    parts = opset13.variadic_split(product, np.int64(-1), sizes)
    for layer, part in zip(layers, parts.outputs(), strict=True):
        layer.last.output(0).replace(part)


def _joined(values: Sequence[Output]) -> Node:
    """Return constants that are kept in one way as one, one below the other."""
    kind, of_type = values[0].get_node().get_type_name(), values[0].get_element_type()
    shape = [sum(value.get_shape()[0] for value in values), *[*values[0].get_shape()][1:]]
    if kind == "Constant":
        tensor = Tensor(of_type, Shape(shape))
        data = [value.get_node().data.view(np.uint8).ravel() for value in values]
        np.concatenate(data, out=tensor.data.view(np.uint8).reshape(-1))
        return opset13.constant(tensor)
    given = [
        _joined([value.get_node().input_value(place) for value in values])
        for place in range(UNPACKING[kind])
    ]
    if kind == "Convert":
        return opset13.convert(*given, of_type)
    if kind == "Reshape":
        return opset13.reshape(*given, np.array(shape), special_zero=False)
    return {"Subtract": opset13.subtract, "Multiply": opset13.multiply}[kind](*given)
