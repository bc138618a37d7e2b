"""chat.models.ir_fuse: layers of one input as one, with the same weights and the same scores."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import Model, Node, opset13

from chat.engines.openvino.engine import EXACT
from chat.models.ir_fuse import fuse

DRAW = np.random.default_rng(0)
GROUP, WIDTH = 8, 16


def matrix(rows: int, kind: openvino.Type = openvino.Type.u4) -> Node:
    """A matrix of `rows`, kept in groups with a scale each, as a converted model has them."""
    shape = (rows, WIDTH // GROUP, GROUP)
    values = opset13.constant(DRAW.integers(0, 16, shape), kind)
    zeros = opset13.constant(DRAW.integers(0, 16, (*shape[:2], 1)), kind)
    scales = opset13.constant(DRAW.normal(0, 1, (*shape[:2], 1)), openvino.Type.f16)
    as_is = [opset13.convert(one, openvino.Type.f16) for one in (values, zeros)]
    unpacked = opset13.multiply(opset13.subtract(*as_is), scales)
    return opset13.convert(
        opset13.reshape(unpacked, np.array([rows, WIDTH]), special_zero=False), openvino.Type.f32
    )


def product(given: Node, weights: Node) -> Node:
    return opset13.matmul(given, weights, transpose_a=False, transpose_b=True)


def given() -> Node:
    return opset13.parameter([-1, WIDTH], np.float32, name="given")


def products(model: Model) -> int:
    return Counter(op.get_type_name() for op in model.get_ops())["MatMul"]


def scores(model: Model) -> list[NDArray[np.float32]]:
    compiled = openvino.Core().compile_model(model, "CPU", EXACT)
    found = compiled(np.random.default_rng(1).normal(0, 1, (3, WIDTH)).astype(np.float32))
    return [found[output] for output in compiled.outputs]


def all_alike(x: Node) -> list[Node]:
    return [product(x, matrix(rows)) for rows in (6, 2, 4)]


def rows_within_a_byte(x: Node) -> list[Node]:
    return odd(x, 2, 4)


def one_in_more_bits(x: Node) -> list[Node]:
    return [product(x, matrix(rows, kind)) for rows, kind in zip((6, 2, 2), MIXED, strict=True)]


MIXED = (openvino.Type.u4, openvino.Type.u4, openvino.Type.u8)


@pytest.mark.parametrize(
    ("layers", "left"), [(all_alike, 1), (rows_within_a_byte, 1), (one_in_more_bits, 2)]
)
def test_layers_of_one_input_become_one_that_computes_the_same(
    layers: Callable[[Node], list[Node]], left: int
) -> None:
    x = given()
    model = Model(layers(x), [x])
    before = scores(model)
    fuse(model)
    assert products(model) == left
    for found, wanted in zip(scores(model), before, strict=True):
        assert found.shape == wanted.shape
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_their_biases_go_along() -> None:
    x = given()
    bias = [opset13.constant(DRAW.normal(0, 1, rows), np.float32) for rows in (6, 4)]
    outputs = [
        opset13.add(product(x, matrix(rows)), one) for rows, one in zip((6, 4), bias, strict=True)
    ]
    model = Model(outputs, [x])
    before = scores(model)
    fuse(model)
    kinds = Counter(op.get_type_name() for op in model.get_ops())
    assert (kinds["MatMul"], kinds["Add"]) == (1, 1)
    for found, wanted in zip(scores(model), before, strict=True):
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5)


def other_input(x: Node) -> list[Node]:
    return [product(x, matrix(4)), product(opset13.tanh(x), matrix(4))]


def other_kind(x: Node) -> list[Node]:
    return [product(x, matrix(4)), product(x, matrix(4, openvino.Type.u8))]


def one_has_a_bias(x: Node) -> list[Node]:
    biased = opset13.add(product(x, matrix(4)), opset13.constant(np.ones(4, np.float32)))
    return [product(x, matrix(4)), biased]


def a_scale_for_all(x: Node) -> list[Node]:
    def one() -> Node:
        values = opset13.convert(opset13.constant(DRAW.integers(0, 9, (4, WIDTH)), np.uint8), "f32")
        return product(x, opset13.multiply(values, np.float32([[DRAW.normal()]])))

    return [one(), one()]


def not_constant(x: Node) -> list[Node]:
    return [product(x, x), product(x, opset13.tanh(x))]


def odd(x: Node, *rows: int) -> list[Node]:
    """Layers of which each row ends in the middle of a byte."""
    narrow = opset13.gather(x, np.arange(WIDTH - 1), np.int64(1))
    kept = [
        opset13.constant(DRAW.integers(0, 16, (many, WIDTH - 1)), openvino.Type.u4) for many in rows
    ]
    return [product(narrow, opset13.convert(one, "f32")) for one in kept]


def ends_within_a_byte(x: Node) -> list[Node]:
    return odd(x, 3, 5)


@pytest.mark.parametrize(
    "layers",
    [other_input, other_kind, one_has_a_bias, a_scale_for_all, not_constant, ends_within_a_byte],
)
def test_what_is_not_alike_stays_apart(layers: Callable[[Node], list[Node]]) -> None:
    x = given()
    model = Model(layers(x), [x])
    fuse(model)
    assert products(model) == 2
