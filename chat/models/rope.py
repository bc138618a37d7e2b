"""Scaled rotary positions for a model that OpenVINO has built without them.

What it builds of a GGUF file turns position p by the angles p · f, and f is one
constant. Llama 3.1 and the like are trained with other frequencies, and YaRN (Peng
et al., 2023) makes sine and cosine larger as well. Both are put in here.
"""

from typing import NamedTuple

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13

Angles = NDArray[np.float32]


class Change(NamedTuple):
    """From the frequencies that a model has, [half of a head's size], to those it should have."""

    was: Angles
    now: Angles
    #: How much larger sine and cosine become.
    factor: float = 1.0


def frequencies(theta: float, head_size: int) -> Angles:
    """Return those without scaling, [head_size / 2] (Su et al., RoFormer, 2021)."""
    steps = np.arange(0, head_size, 2, dtype=np.float32) / np.float32(head_size)
    return (1 / np.float32(theta) ** steps).astype(np.float32)


def change(model: openvino.Model, was: Angles, now: Angles, factor: float) -> bool:
    """Make a `Change` in an OpenVINO model; returns whether there is anything to change.

    Raises:
        ValueError: the frequencies are not in it, or not once.
    """
    shape = (1, len(was), 1)
    # Of a model in 16 bits they have 16 bits too, far too few for a thousandth position.
    [constant] = [
        op
        for op in model.get_ops()
        if op.get_type_name() == "Constant"
        and tuple(op.get_output_shape(0)) == shape
        and np.allclose(op.data.ravel(), was, rtol=1e-3, atol=1e-7)
    ]
    if factor == 1 and np.allclose(constant.data.ravel(), now, rtol=1e-6, atol=0):
        return False
    if constant.get_element_type() != openvino.Type.f32:
        [constant] = [reader.get_node() for reader in constant.output(0).get_target_inputs()]
    _replace(constant, opset13.constant(now.reshape(shape).astype(np.float32)))
    if factor != 1:
        for op in model.get_ops():
            if op.get_type_name() in ("Sin", "Cos"):
                _replace(op, opset13.multiply(op, np.float32(factor)))
    return True


def _replace(op: openvino.Node, by: openvino.Node) -> None:
    for reader in op.output(0).get_target_inputs():
        if reader.get_node().get_friendly_name() != by.get_friendly_name():
            reader.replace_source_output(by.output(0))
