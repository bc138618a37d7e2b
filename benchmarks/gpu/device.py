"""The machine itself: what it is, how fast its memory is, and how fast its 4-bit layers are."""

import statistics
import time
from collections.abc import Callable

import torch

from benchmarks import machine as described
from benchmarks.gpu.bench import GB, NF4, Bench, figure
from benchmarks.gpu.report import Result

TIMES = 20


def machine(bench: Bench) -> Result:
    """Say what this runs on."""
    found: Result = {**described.describe(), "torch": torch.__version__}
    if bench.cuda:
        gpu = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": gpu.name,
            "capability": f"{gpu.major}.{gpu.minor}",
            "multiprocessors": gpu.multi_processor_count,
            "gpu_memory_gb": figure(gpu.total_memory / GB),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "cudnn_attention": torch.backends.cuda.cudnn_sdp_enabled(),
        }
    return found


def bandwidth(bench: Bench) -> Result:
    """Measure how many bytes a second are read and written by a copy."""
    source = torch.ones(bench.size.copied, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    seconds = typical(bench, lambda: target.copy_(source))
    return {"gb_per_s": figure(2 * source.nbytes / seconds / GB)}


def layers(bench: Bench) -> Result:
    """Measure bitsandbytes' product for each shape and number of rows, without the launches.

    So many matrices are multiplied one after the other that no cache holds them.
    """
    from bitsandbytes import functional, matmul_4bit

    from chat.models.quantize import compute_dtype

    dtype = compute_dtype()
    gb_per_s = bench.found.get("bandwidth", {}).get("gb_per_s")
    found: Result = {}
    for out, into in bench.size.layers:
        size = out * into * NF4
        packed = [
            functional.quantize_4bit(
                torch.randn(out, into, device=bench.device, dtype=dtype),
                quant_type="nf4",
                compress_statistics=True,
            )
            for _ in range(1 + int(bench.size.layer_bytes / size))
        ]
        for rows in bench.size.rows:
            x = torch.randn(rows, into, device=bench.device, dtype=dtype)

            def multiply(
                x: torch.Tensor = x, packed: list[tuple[torch.Tensor, object]] = packed
            ) -> None:
                for weights, state in packed:
                    matmul_4bit(x, weights, quant_state=state)

            with torch.inference_mode():
                seconds = typical(bench, replayed(bench, multiply)) / len(packed)
            one: Result = {"us": figure(seconds * 1e6), "gb_per_s": figure(size / seconds / GB)}
            if gb_per_s:
                one["share"] = figure(one["gb_per_s"] / gb_per_s)
            found[f"{out}x{into}, {rows} rows"] = one
    return found


def replayed(bench: Bench, do: Callable[[], object]) -> Callable[[], object]:
    """Return the same as a CUDA graph, or as it is on a CPU."""
    if not bench.cuda:
        return do
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        do()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        do()
    return graph.replay


def typical(bench: Bench, do: Callable[[], object]) -> float:
    """Return the median of the seconds that something takes on the device."""
    found = []
    for _ in range(TIMES):
        bench.wait()
        began = time.perf_counter()
        do()
        bench.wait()
        found.append(time.perf_counter() - began)
    return statistics.median(found)
