"""chat.allocator: how torch takes the memory of a GPU, set before anything imports it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chat import allocator

GROWING = "expandable_segments:True"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*allocator.NAMES, "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.setattr(allocator, "KERNEL", tmp_path / "osrelease")


def test_segments_grow() -> None:
    allocator.grow_segments()
    assert os.environ["PYTORCH_ALLOC_CONF"] == GROWING


def test_they_grow_on_whole_gpus_and_where_no_gpu_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("SPACES_ZERO_GPU", "false")
    allocator.grow_segments()
    assert os.environ["PYTORCH_ALLOC_CONF"] == GROWING


@pytest.mark.parametrize("name", allocator.NAMES)
def test_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "max_split_size_mb:64")
    allocator.grow_segments()
    assert {one: os.environ[one] for one in allocator.NAMES if one in os.environ} == {
        name: "max_split_size_mb:64"
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUDA_VISIBLE_DEVICES", "MIG-8cd96b3c-1a2b-5c6d-9e0f-123456789abc"),
        ("NVIDIA_VISIBLE_DEVICES", "MIG-GPU-8cd96b3c/1/0"),
        ("NVIDIA_VISIBLE_DEVICES", "0:1"),
        ("SPACES_ZERO_GPU", "true"),
        ("kernel", "6.18.33.2-microsoft-standard-WSL2"),
    ],
)
def test_where_it_would_fail_nothing_is_set(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if name == "kernel":
        allocator.KERNEL.write_text(value)
    else:
        monkeypatch.setenv(name, value)
    allocator.grow_segments()
    assert "PYTORCH_ALLOC_CONF" not in os.environ


@pytest.mark.parametrize("entrance", ["app", "chat.__main__", "chat.models.quantize"])
def test_it_is_set_before_torch_is_imported(entrance: str) -> None:
    program = f"""
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("PYTORCH_ALLOC_CONF"))
sys.meta_path.insert(0, Watch())
import {entrance}
import torch
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    kernel = Path("/proc/sys/kernel/osrelease").read_text().lower()
    expected = "None" if "microsoft" in kernel else GROWING
    assert done.stdout.splitlines()[:1] == [expected], done.stderr
