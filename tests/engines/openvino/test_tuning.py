"""chat.engines.openvino.tuning: the fastest settings that are right are found, once."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat.engines.openvino import tuner, tuning
from chat.engines.openvino.tuning import Reply, Speed, Tuned, alike, best, known, tuned
from chat.engines.openvino.wire import Timed, Tries
from chat.load import load
from chat.settings import Settings

OWN: dict[str, Any] = {}
FULL = {"INFERENCE_PRECISION_HINT": "f32"}
FEWER = {"INFERENCE_NUM_THREADS": 3}
RIGHT: list[list[tuple[int, float]]] = [[(5, -0.1), (6, -2.0)], [(7, -1.0), (8, -0.5)]]
WRONG: list[list[tuple[int, float]]] = [[(5, -0.1), (6, -2.0)], [(2, -9.0), (2, -9.0)]]


def rounds(*settings: tuple[float, float, list[list[tuple[int, float]]]]) -> list[Timed]:
    """Return three rounds of settings with these speeds and replies; one of them is disturbed."""
    return [
        Timed(place, one * part, many * part, replies)
        for part in (1.0, 0.2, 1.0)
        for place, (one, many, replies) in enumerate(settings)
    ]


@pytest.mark.parametrize(
    ("speeds", "chosen"),
    [
        ([(50, 200), (60, 260)], FULL),
        ([(50, 200), (40, 180)], OWN),
        ([(50, 200), (51, 204)], OWN),  # as far as two runs differ
        ([(50, 200), (70, 130)], OWN),  # slower for eight by more than faster for one
        ([(50, 200), (60, 260), (62, 290)], {**FULL, **FEWER}),
    ],
)
def test_the_fastest_are_taken_if_they_are_faster_by_more_than_chance(
    speeds: list[tuple[float, float]], chosen: dict[str, Any]
) -> None:
    loaded = [OWN, FULL, {**FULL, **FEWER}][: len(speeds)]
    found = best(loaded, rounds(*((one, many, RIGHT) for one, many in speeds)))
    assert found.properties == chosen
    assert found.speed == Speed(*speeds[loaded.index(chosen)])
    assert found.before == Speed(*speeds[0])


def test_settings_whose_replies_are_wrong_are_never_taken() -> None:
    fast = rounds((50, 200, RIGHT), (40, 180, RIGHT), (500, 2000, WRONG))
    assert best([OWN, FULL, FEWER], fast).properties == OWN
    own_is_wrong = rounds((500, 2000, WRONG), (40, 180, RIGHT))
    assert best([OWN, FULL], own_is_wrong).properties == FULL


@pytest.mark.parametrize("came", [[], rounds((50, 200, RIGHT))])
def test_what_was_not_tried_in_time_leaves_openvinos_own(came: list[Timed]) -> None:
    assert best([OWN, FULL], came) == Tuned(OWN)
    assert best([], []) == Tuned(OWN)
    assert best([OWN], rounds((50, 200, RIGHT))) == Tuned(OWN), "nothing to compare it with"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([(5, -0.3), (6, -1.7)], True),
        ([(5, -0.3), (9, -2.2), (1, -30.0)], True),  # as likely, and what follows is its own
        ([(5, -0.1), (9, -6.0)], False),
        ([(5, -4.0), (6, -2.0)], False),
        ([(5, math.nan), (6, -2.0)], False),
    ],
)
def test_replies_are_alike_but_for_rounding(other: Reply, same: bool) -> None:
    assert alike([RIGHT[0]], [other]) == same


def test_full_precision_is_tried_where_it_is_not_what_openvino_has_and_a_core_is_left() -> None:
    both = [OWN, FULL]
    assert tuner.candidates(["FP32", "BF16"], 2, {}) == both
    assert tuner.candidates(["FP32"], 2, {}) == [OWN]
    assert tuner.candidates(["BF16"], 8, {}) == [
        *both,
        *({**one, tuner.THREADS: 7} for one in both),
    ]
    assert tuner.candidates(["BF16"], 8, {tuner.THREADS: 4}) == both
    assert tuner.candidates(["BF16"], 2, {tuner.PRECISION: "f32"}) == [OWN]


# In its process.

CAN = "import openvino; print(openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))"

Counted = Callable[[], int]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """How often settings were tried."""
    tried: list[Tries] = []

    def try_them(tries: Tries, seconds: float) -> tuple[list[dict[str, Any]], list[Timed]]:
        tried.append(tries)
        return [OWN, FULL], rounds((50, 200, RIGHT), (60, 260, RIGHT))

    monkeypatch.setattr(tuning, "_tried", try_them)
    return lambda: len(tried)


def test_it_is_done_once_for_a_model_a_machine_and_what_is_fixed(
    folder: Path, tmp_path: Path, count: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert tuned(folder, tmp_path, {}).properties == FULL
    assert count() == 1
    assert known(folder, tmp_path, {}) == tuned(folder, tmp_path, {})
    tuned(folder, tmp_path, {}, again=True)
    assert count() == 2
    assert known(folder, tmp_path, FEWER) is None
    tuned(folder, tmp_path, FEWER)
    assert count() == 3
    monkeypatch.setattr(tuning.metadata, "version", lambda name: "9.9")
    assert known(folder, tmp_path, FEWER) is None


def test_models_whose_names_begin_alike_have_settings_of_their_own(
    folder: Path, tmp_path: Path, count: Counted
) -> None:
    for name in ("tiny.Q4_1", "tiny.Q8_0") * 2:
        tuned(shutil.copytree(folder, tmp_path / name, dirs_exist_ok=True), tmp_path, {})
    assert count() == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"for": 1}', "\0", "1", "[" * 10_000])
def test_a_damaged_file_is_as_none(
    folder: Path, tmp_path: Path, count: Counted, content: str
) -> None:
    tuned(folder, tmp_path, {})
    (file,) = tmp_path.iterdir()
    whole = file.read_text()
    assert whole.count("f32")
    for damaged in (content, whole[:-9], whole.replace("f32", "f33")):
        file.write_text(damaged)
        assert tuned(folder, tmp_path, {}).properties == FULL
    assert count() == 4


def test_a_cache_that_cannot_be_written_to_forgets(folder: Path, count: Counted) -> None:
    nowhere = folder / "config.json"
    for _ in range(2):
        assert tuned(folder, nowhere, {}).properties == FULL
    assert count() == 2


def test_a_system_that_tells_less_of_its_processor_is_one_too(
    folder: Path, tmp_path: Path, count: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(tuning, "Path", lambda path: tmp_path / "none")  # no /proc/cpuinfo
    for _ in range(2):
        assert tuned(folder, tmp_path, {}).properties == FULL
    assert count() == 1


def test_a_real_model_is_tried_with_each_and_what_came_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tuned(folder, tmp_path, {"INFERENCE_NUM_THREADS": 1})
    assert "Finding the fastest settings" in capsys.readouterr().out
    # Not here: a process in which OpenVINO has run is ended by a SIGINT, as other tests raise it.
    can = subprocess.run([sys.executable, "-c", CAN], capture_output=True, text=True, check=True)
    if "BF16" in can.stdout:
        assert found.speed
        assert found.before
        assert min(*found.speed, *found.before) > 0
        assert f"{found.speed.one:.0f} and {found.speed.many:.0f} tokens/s" in str(found)
    else:
        assert found == Tuned({}), "there is nothing to choose"


def test_a_model_that_is_too_large_to_be_tried_has_openvinos_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "SECONDS", 0.05)
    found = tuned(folder, tmp_path, {})
    assert found == Tuned({})
    assert "no others that could be tried" in str(found)
    assert known(folder, tmp_path, {}) is None, "the machine may have been busy"
    tuned(folder, tmp_path, {})
    assert known(folder, tmp_path, {}) == found, "it is not tried at each start"


def test_a_model_that_cannot_be_loaded_is_left_to_the_engine_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").write_text("<net")
    assert tuned(tmp_path, tmp_path, {}) == Tuned({})


@pytest.mark.parametrize(("tune", "times"), [(None, 1), (True, 2), (False, 0)])
def test_the_engine_has_what_was_found_unless_that_is_not_wished(
    gguf: Path,
    tmp_path: Path,
    count: Counted,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tune: bool | None,
    times: int,
) -> None:
    from chat.engines.openvino import engine

    given: list[Any] = []
    start = engine.OpenVINOEngine

    def started(*args: Any, **options: Any) -> engine.OpenVINOEngine:
        given.append(args[3])
        return start(*args, **options)

    monkeypatch.setattr(engine, "OpenVINOEngine", started)
    monkeypatch.setattr(tuning, "_file", lambda *_: tmp_path / "tuned.json")
    for _ in range(2):
        settings = Settings(
            model=str(gguf), cache_dir=gguf.parent, engine="openvino", tune=tune, threads=2
        )
        load(settings).engine.close()
    threads = {"INFERENCE_NUM_THREADS": 2}
    assert given == [threads if tune is False else {**threads, **FULL}] * 2
    assert count() == times
    told = "OpenVINO's settings: f32: 60 and 260 tokens/s for one person and for eight"
    assert (told in capsys.readouterr().out) == (tune is not False)
