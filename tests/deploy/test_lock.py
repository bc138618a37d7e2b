"""deploy.lock: what is in the image, file by file, agrees with what the app asks for."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import lock

ROOT = Path(__file__).parent.parent.parent
LOCKS = (lock.LOCK, lock.CUDA)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")


def locked(file: Path) -> dict[str, list[str]]:
    """Return the hashes of each `name==version`."""
    found: dict[str, list[str]] = {}
    pin = ""
    for line in file.read_text().splitlines():
        text = line.removesuffix(" \\")
        if HASH.fullmatch(text):
            found[pin].append(text)
        elif not line.startswith("#"):
            pin = text
            found[pin] = []
    return found


def test_each_pin_is_locked_as_it_is_and_in_one_file() -> None:
    pins = (ROOT / "requirements.txt").read_text().split()
    both = [pin for file in LOCKS for pin in locked(file)]
    assert set(pins) <= set(both)
    names = [canonicalize_name(pin.split("==")[0]) for pin in both]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.name)
def test_everything_is_pinned_and_has_hashes(file: Path) -> None:
    found = locked(file)
    assert len(found) >= 20
    for pin, hashes in found.items():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", pin)
        assert hashes, pin
        assert len(set(hashes)) == len(hashes)


def test_no_file_names_a_registry() -> None:
    for file in LOCKS:
        assert not re.search(r"://|--(extra-)?index|--find-links", file.read_text())


def test_torch_and_what_its_build_for_cuda_needs_is_apart() -> None:
    plain, cuda = (" ".join(locked(file)) for file in LOCKS)
    assert "torch==" in cuda
    assert "nvidia-cublas==" in cuda
    assert not re.search(r"\b(torch==|triton|nvidia-|cuda-)", plain)


def test_the_image_has_the_uv_that_the_lock_was_made_with() -> None:
    dev = (ROOT / "requirements-dev.txt").read_text().splitlines()
    (uv,) = (pin for pin in dev if Requirement(pin).name == "uv")
    assert uv in locked(lock.LOCK)


def test_it_splits_what_uv_finds_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("alpha==1\nuv==9\n" if "dev" in name else "alpha==1\n")
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "LOCK", tmp_path / "lock.txt")
    monkeypatch.setattr(lock, "CUDA", tmp_path / "cuda.txt")
    (tmp_path / "lock.txt").write_text("# Made.\nbeta==2\n")
    asked = []

    def uv(command: list[str], *, input: str, **_: object) -> None:
        file = Path(command[command.index("-o") + 1])
        asked.append((input, file.read_text(), command[-1]))
        hashed = "{} \\\n    --hash=sha256:0\n".format
        file.write_text("".join(map(hashed, ["alpha==1", "nvidia-x==3", "torch==4", "uv==9"])))

    monkeypatch.setattr("subprocess.run", uv)
    lock.main(["--upgrade"])
    assert asked == [("alpha==1\nuv==9\n", "# Made.\nbeta==2\n", "--upgrade")]
    plain, cuda = (
        re.findall("^[a-z].*==.", (tmp_path / name).read_text(), re.MULTILINE)
        for name in ("lock.txt", "cuda.txt")
    )
    assert (plain, cuda) == (["alpha==1", "uv==9"], ["nvidia-x==3", "torch==4"])
