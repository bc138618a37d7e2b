"""What OpenVINO keeps of the kernels that it makes: enough for some steps, and not all of them."""

import ctypes
import subprocess
import sys

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from chat.engines.openvino.batcher import KERNELS

#: Tokens of as many steps, each of another number, and the layers that read them.
STEPS, LAYERS = 240, 4


class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefg"] + [("used", ctypes.c_size_t)]
    _fields_ += [("free", ctypes.c_size_t), ("top", ctypes.c_size_t)]


def used() -> int:
    """Return the bytes of the heap that are in use (glibc)."""
    libc = ctypes.CDLL("libc.so.6")
    libc.mallinfo2.restype = Heap
    found: int = libc.mallinfo2().used
    return found


def grown(properties: dict[str, str]) -> int:
    """Return by how much the heap grows in the second half of the steps."""
    tokens = ops.parameter([-1, 64], np.float32)
    layer = tokens.output(0)
    for number in range(LAYERS):
        weights = np.full([64 * (number + 1), 64 * (number + 2)], 0.01, np.float32)
        layer = ops.matmul(layer, ops.constant(weights), False, False).output(0)
    model = ov.Core().compile_model(ov.Model([layer], [tokens]), "CPU", properties)
    asked = model.create_infer_request()
    begun = 0
    for number in range(1, STEPS):
        asked.infer([np.zeros([number, 64], np.float32)])
        if number == STEPS // 2:
            begun = used()
    return used() - begun


@pytest.mark.skipif(sys.platform != "linux", reason="mallinfo2 is glibc's")
def test_a_process_does_not_grow_with_each_number_of_tokens_in_a_step() -> None:
    command = [sys.executable, "-m", __name__]
    ours, theirs = (
        int(subprocess.run([*command, how], check=True, capture_output=True, text=True).stdout)
        for how in ("ours", "theirs")
    )
    assert ours < theirs / 4


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        print(grown(KERNELS))
    else:
        print(grown({}))
