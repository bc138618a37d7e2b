"""chat.errors: what the log may say of an unforeseen error, and which ones are of memory."""

import sys
from io import BytesIO, TextIOWrapper

import numpy as np
import pytest
import torch

from chat.errors import ModelError, describe, out_of_memory, print_anything


def fail(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as error:
        raise ValueError(f"cannot read {text}") from error


def test_an_unforeseen_error_is_logged_with_its_place_and_never_with_its_text() -> None:
    try:
        fail("what someone wrote"[::-1])
    except ValueError as error:
        logged = describe(error)
    assert logged.startswith("ValueError at")
    assert "in fail" in logged
    assert "what someone wrote"[::-1] not in logged


def of_numpy() -> Exception:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        of_numpy(),
        OSError(12, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'"),
        RuntimeError("CUDA driver error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED"),
        RuntimeError("cudaErrorMemoryAllocation"),
        RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA error: out of memory at line 90 in file ops.cu"),
        RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("NCCL: out of device memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("Failed to allocate 8589934592 bytes of memory"),
        RuntimeError("unable to mmap 4000 bytes from file: Cannot allocate memory (12)"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_memory_that_ran_out_is_known_whoever_says_so(error: Exception) -> None:
    assert out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
        RuntimeError("out of resource: shared memory, Required: 114688, Hardware limit: 101376"),
        IndexError("index 9 is out of bounds"),
        ValueError(),
    ],
    ids=lambda error: str(error)[:40],
)
def test_no_other_error_is_taken_for_it(error: Exception) -> None:
    assert not out_of_memory(error)


def test_what_files_say_reaches_no_terminal_as_signs() -> None:
    error = ModelError("Its kind is \x1b[2J" + "a" * 5000)
    assert str(error).startswith("Its kind is \ufffd[2Ja")
    assert len(str(error)) < 1100


def test_what_a_stream_has_no_letters_for_does_not_end_the_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding="ascii"))
    print_anything()
    print("caf\udce9 …", flush=True)
    assert written.getvalue() == b"caf? ?\n"


def test_a_stream_that_was_closed_before_the_start_takes_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    print_anything()
    with sys.stdout:
        print("to nobody")
