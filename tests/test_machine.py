"""chat.machine: what a container may take, by files as the kernel writes them."""

import os
from pathlib import Path

import psutil
import pytest

from chat import machine

GB = 1 << 30
#: As version 2 and version 1 name them.
LIMITS = {
    "2": ("memory.max", "memory.current", "", ""),
    "1": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "memory"),
}


@pytest.fixture(autouse=True)
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with 64 GB free, eight cores, and no limits."""
    memory = psutil.virtual_memory()._replace(available=64 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "OWN", tmp_path / "own")
    return tmp_path / "groups"


def put(group: Path, **files: str) -> None:
    group.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (group / name.replace("__", ".")).write_text(f"{text}\n")


def limited(group: Path, version: str, limit: int | str, taken: int, read: int) -> None:
    most, used, begins, _ = LIMITS[version]
    stat = f"cache 5\n{begins}inactive_file {read // 2}\n{begins}active_file {read - read // 2}"
    put(group, memory__stat=stat, **{most: f"{limit}", used: f"{taken}"})


def own(groups: Path, version: str, path: str) -> Path:
    """Say in which group this process is, and return its folder."""
    controllers = LIMITS[version][3]
    lines = f"{7 if controllers else 0}:{controllers}:{path}\n5:pids:/elsewhere\n"
    (groups.parent / "own").write_text(lines)
    return groups / controllers / path.strip("/")


def test_a_machine_without_groups_is_as_it_is() -> None:
    assert (machine.free_memory(), machine.cores(), machine.quota()) == (64 * GB, 8, None)


@pytest.mark.parametrize("version", ["2", "1"])
def test_a_container_has_what_its_limit_leaves(groups: Path, version: str) -> None:
    limited(own(groups, version, "/"), version, 4 * GB, 3 * GB, GB // 2)
    assert machine.free_memory() == GB + GB // 2, "files that have been read are let go of"


@pytest.mark.parametrize("version", ["2", "1"])
def test_the_narrowest_of_the_groups_around_counts(groups: Path, version: str) -> None:
    inner = own(groups, version, "/system.slice/chat.service")
    limited(inner, version, 8 * GB, 0, 0)
    limited(inner.parent, version, 5 * GB, 3 * GB, 0)
    assert machine.free_memory() == 2 * GB


@pytest.mark.parametrize("version", ["2", "1"])
def test_what_is_over_its_limit_has_none_left(groups: Path, version: str) -> None:
    limited(own(groups, version, "/"), version, GB, 2 * GB, 0)
    assert machine.free_memory() == 0


@pytest.mark.parametrize(("version", "limit"), [("2", "max"), ("1", 9223372036854771712)])
def test_a_limit_that_is_none_leaves_what_the_machine_has(
    groups: Path, version: str, limit: int | str
) -> None:
    limited(own(groups, version, "/"), version, limit, GB, 0)
    assert machine.free_memory() == 64 * GB


def test_a_path_outside_the_container_is_its_topmost_group(groups: Path) -> None:
    limited(own(groups, "2", "/"), "2", 2 * GB, GB, 0)
    own(groups, "2", "/../../kubepods/pod1")
    assert machine.free_memory() == GB
    own(groups, "2", "/docker/0123")
    assert machine.free_memory() == GB


@pytest.mark.parametrize(
    ("most", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_a_share_of_the_cores_is_so_many(groups: Path, most: str, cores: int) -> None:
    put(own(groups, "2", "/"), cpu__max=most)
    assert (machine.quota(), machine.cores()) == (cores, cores)


@pytest.mark.parametrize("most", ["max 100000", "800000 100000", "nonsense"])
def test_no_less_than_all_is_no_limit(groups: Path, most: str) -> None:
    put(own(groups, "2", "/"), cpu__max=most)
    assert (machine.quota(), machine.cores()) == (None, 8)


@pytest.mark.parametrize(("time", "quota"), [("300000", 3), ("-1", None)])
def test_version_1_tells_it_in_two_files(groups: Path, time: str, quota: int | None) -> None:
    (groups.parent / "own").write_text("3:cpu,cpuacct:/job\n")
    group = groups / "cpu,cpuacct" / "job"
    put(group, cpu__cfs_quota_us=time, cpu__cfs_period_us="100000")
    assert machine.quota() == quota


def test_whatever_order_its_controllers_are_named_in(groups: Path) -> None:
    (groups.parent / "own").write_text("3:cpuacct,cpu:/job\n")
    put(groups / "cpu" / "job", cpu__cfs_quota_us="300000", cpu__cfs_period_us="100000")
    assert machine.quota() == 3
