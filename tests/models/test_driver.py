"""chat.models.driver and `load.has_cuda`, with a stand-in for libcuda."""

import re
from typing import Any

import pytest
import torch

from chat import check, load
from chat.errors import ModelError
from chat.settings import Settings


class Driver:
    """As far as it is asked; `error` is what cuInit returns."""

    def __init__(
        self,
        gpus: int = 1,
        version: int = 12040,
        error: int = 0,
        counts: int = 0,
        capability: tuple[int, int] = (7, 5),
    ) -> None:
        self._gpus = gpus
        self._version = version
        self._error = error
        self._counts = counts
        self._capability = capability

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self._error

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self._gpus
        return self._counts

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self._version
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = self._capability[(75, 76).index(attribute)]
        return 0


@pytest.fixture(autouse=True)
def _no_gpu_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def there_is(
    monkeypatch: pytest.MonkeyPatch,
    driver: Driver | None,
    built_for: str | None = "13.0",
    available: bool = False,
    architectures: tuple[str, ...] = ("sm_75", "sm_80", "sm_90a", "compute_120"),
) -> None:
    def open_library(name: str) -> Driver:
        assert name == "libcuda.so.1"
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr("ctypes.CDLL", open_library)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: [*architectures])
    monkeypatch.setattr(torch.version, "cuda", built_for)


def refusal(monkeypatch: pytest.MonkeyPatch, driver: Driver, **torchs: Any) -> str:
    there_is(monkeypatch, driver, **torchs)
    with pytest.raises(ModelError) as caught:
        load.has_cuda()
    return str(caught.value)


def test_a_driver_that_is_too_old_for_torch_is_told_of_with_both_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert refusal(monkeypatch, Driver(version=12040)) == (
        "The driver of this machine's NVIDIA GPU is too old for the torch that is installed: it "
        "knows CUDA up to 12.4, and torch was built for CUDA 13.0. Install a newer driver, or a "
        "torch built for CUDA 12.x. To go on without the GPU, set CUDA_VISIBLE_DEVICES to nothing "
        "(CUDA_VISIBLE_DEVICES=)."
    )


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        (Driver(version=11080), r"up to 11\.8, .* a torch built for CUDA 11\.x\."),
        (Driver(version=13010), r"cannot use it, although its driver knows CUDA 13\.1 and torch"),
        (Driver(version=13000), r"cannot use it, although its driver knows CUDA 13\.0 and torch"),
        (Driver(error=803), r"does not work \(CUDA error 803\)\. Restart"),
        (Driver(error=999), r"does not work \(CUDA error 999\)\. Restart"),
        (Driver(counts=3), r"does not work \(CUDA error 3\)\. Restart"),
    ],
)
def test_what_else_keeps_torch_from_a_gpu_is_told_of(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, said: str
) -> None:
    found = refusal(monkeypatch, driver)
    assert re.search(said, found), found
    assert found.endswith("set CUDA_VISIBLE_DEVICES to nothing (CUDA_VISIBLE_DEVICES=).")


@pytest.mark.parametrize(
    "driver",
    [None, Driver(gpus=0), Driver(error=100), Driver(error=34)],
    ids=["no driver", "no GPU", "no device", "a stub to build with"],
)
def test_without_a_gpu_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], driver: Driver | None
) -> None:
    there_is(monkeypatch, driver)
    assert load.has_cuda() is False
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("hidden", ["", " ", "-1", "NoDevFiles"])
@pytest.mark.parametrize("driver", [Driver(), Driver(error=803)])
def test_a_gpu_that_is_to_be_hidden_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, hidden: str, driver: Driver
) -> None:
    there_is(monkeypatch, driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert load.has_cuda() is False


def test_a_torch_for_cpus_goes_on_with_a_line_that_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there_is(monkeypatch, Driver(), built_for=None)
    assert load.has_cuda() is False
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("The NVIDIA GPU of this machine is not used: the torch that is")


@pytest.mark.parametrize("capability", [(7, 5), (8, 9), (12, 0)])
def test_a_gpu_that_torch_uses_is_there(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    capability: tuple[int, int],
) -> None:
    there_is(monkeypatch, Driver(capability=capability), available=True)
    assert load.has_cuda() is True
    assert capsys.readouterr().out == ""


def test_a_gpu_that_torch_was_not_built_for_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    found = refusal(monkeypatch, Driver(capability=(6, 0)), available=True)
    assert found.startswith(
        "The GPU of this machine has compute capability 6.0, and the torch that is installed was "
        "built for 7.5 and later. Install a torch built for an older CUDA"
    )


@pytest.mark.parametrize("engine", ["auto", "transformers", "openvino"])
def test_it_ends_the_start_unless_the_engine_uses_no_gpu(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    there_is(monkeypatch, Driver())
    settings = Settings(engine=engine)
    if engine == "openvino":
        assert load.uses_cuda(settings) is False
    else:
        with pytest.raises(ModelError, match="too old"):
            load.load(settings)


def test_a_check_says_so_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there_is(monkeypatch, Driver())
    assert check.check(Settings(check="embedded")) == 1
    assert capsys.readouterr().out.startswith("runs            no: The driver of this machine's")
