"""Fixtures that more than one test module needs, and how many tests run at once."""

from __future__ import annotations

import functools
import gc
import os
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Before anything imports them: no test may reach for a hub or report home.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# On cores that other tests use too, threads wait for each other more than they compute.
os.environ["OMP_NUM_THREADS"] = "1"
# No test has a card, and Triton's kernels run without one in its interpreter.
os.environ["TRITON_INTERPRET"] = "1"
# Some images have Python keep nothing that it has compiled, and hundreds of processes compile anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A job in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# No test speaks TLS, and each client would spend 30 ms on reading whom it may trust.
ssl.create_default_context = functools.cache(ssl.create_default_context)
# Nor write into the folder that belongs to the person who runs them.
DATA = tempfile.TemporaryDirectory()
os.environ["XDG_DATA_HOME"] = DATA.name
for name in [name for name in os.environ if name.startswith(("CHAT_", "GRADIO_SERVER"))]:
    if not name.startswith("CHAT_TEST_"):
        del os.environ[name]

# What a start would find out to be the fastest says how busy the machine is.
os.environ["CHAT_TUNE"] = "false"
os.environ["CHAT_TITLES"] = "false"
# And a second thread costs half as much again for the same reply.
os.environ["CHAT_THREADS"] = "1"

import hypothesis
from filelock import FileLock
from xdist.scheduler import LoadScopeScheduling

from tests.support.examples import some

if TYPE_CHECKING:
    from chat.core.chat import Chat
    from prompts import PromptFormat
    from tests.support.fakes import ScriptedEngine
    from tests.support.stages import Stages

Serve = Callable[..., str]
MONOTONIC = time.monotonic

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "unhurried",
    deadline=None,
    max_examples=some(50),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("unhurried")


#: Those of a model are marked by the fixture that they ask for, itself or through another.
MODELS = {"embedded_model", "gguf"}
ROOT = Path(__file__).parent.parent
BROWSER = ROOT / "tests/web/browser"
CLIENTS = ROOT / "tests/web/api/clients"
#: Modules that start servers or programs, convert models, try thousands of texts, or import torch
#: or OpenVINO, which takes longer than most tests.
SLOW = {
    "tests/backend/test_main.py",
    "tests/benchmarks/gpu/test_command.py",
    "tests/benchmarks/gpu/test_right.py",
    "tests/benchmarks/gpu/test_runner.py",
    "tests/benchmarks/gpu/test_steps.py",
    "tests/benchmarks/reliability/callback/test_judge.py",
    "tests/benchmarks/reliability/hostile/test_step.py",
    "tests/benchmarks/reliability/test_quick.py",
    "tests/benchmarks/test_benchmarks_api.py",
    "tests/benchmarks/test_benchmarks_client.py",
    "tests/core/imports/test_anything.py",
    "tests/core/imports/test_apart.py",
    "tests/core/imports/test_tree.py",
    "tests/core/test_tokens.py",
    "tests/deploy/test_haproxy.py",
    "tests/deploy/test_ray.py",
    "tests/engines/batched/test_attend.py",
    "tests/engines/batched/test_batcher.py",
    "tests/engines/batched/test_choose.py",
    "tests/engines/batched/test_drafts.py",
    "tests/engines/batched/test_engine.py",
    "tests/engines/batched/test_entry.py",
    "tests/engines/batched/test_grammars.py",
    "tests/engines/batched/test_graphs.py",
    "tests/engines/batched/test_linear.py",
    "tests/engines/batched/test_loading.py",
    "tests/engines/batched/test_norms.py",
    "tests/engines/batched/test_ranges.py",
    "tests/engines/batched/test_reply.py",
    "tests/engines/batched/test_undocumented.py",
    "tests/engines/contract/test_contract.py",
    "tests/engines/openvino/test_adapters.py",
    "tests/engines/openvino/test_batcher.py",
    "tests/engines/openvino/test_compiler.py",
    "tests/engines/openvino/test_drafting.py",
    "tests/engines/openvino/test_engine.py",
    "tests/engines/openvino/test_exact.py",
    "tests/engines/openvino/test_judge.py",
    "tests/engines/openvino/test_kernels.py",
    "tests/engines/openvino/test_process.py",
    "tests/engines/openvino/test_tuning.py",
    "tests/engines/server/test_engine.py",
    "tests/engines/server/test_entry.py",
    "tests/engines/server/test_llama_cpp.py",
    "tests/engines/server/test_probe.py",
    "tests/engines/server/test_real.py",
    "tests/engines/test_remote.py",
    "tests/engines/test_threads.py",
    "tests/engines/transformers/cpu/test_linear.py",
    "tests/engines/transformers/cpu/test_undocumented.py",
    "tests/engines/transformers/test_adapters.py",
    "tests/engines/transformers/test_assistant.py",
    "tests/engines/transformers/test_attention.py",
    "tests/engines/transformers/test_cards.py",
    "tests/engines/transformers/test_decode.py",
    "tests/engines/transformers/test_engine.py",
    "tests/engines/transformers/test_engine_turns.py",
    "tests/engines/transformers/test_families.py",
    "tests/engines/transformers/test_guide.py",
    "tests/engines/transformers/test_kv_cache.py",
    "tests/engines/transformers/test_lent.py",
    "tests/engines/transformers/test_prefix_cache.py",
    "tests/engines/transformers/test_sampler.py",
    "tests/engines/transformers/test_undocumented.py",
    "tests/engines/transformers/test_worker.py",
    "tests/engines/transformers/test_zero_gpu.py",
    "tests/models/test_adapters.py",
    "tests/models/test_build.py",
    "tests/models/test_cards.py",
    "tests/models/test_checkpoint.py",
    "tests/models/test_driver.py",
    "tests/models/test_embedded.py",
    "tests/models/test_examine.py",
    "tests/models/test_families.py",
    "tests/models/test_heads.py",
    "tests/models/test_ir.py",
    "tests/models/test_ir_fuse.py",
    "tests/models/test_ir_layers.py",
    "tests/models/test_keep.py",
    "tests/models/test_locate.py",
    "tests/models/test_lora.py",
    "tests/models/test_parts.py",
    "tests/models/test_plain.py",
    "tests/models/test_quantize.py",
    "tests/models/test_quantized.py",
    "tests/models/test_tokenizer.py",
    "tests/prompts/test_exact.py",
    "tests/prompts/test_forgery.py",
    "tests/prompts/test_renderer.py",
    "tests/prompts/test_template.py",
    "tests/prompts/test_templates.py",
    "tests/terminal/test_complete.py",
    "tests/terminal/test_terminal_keys.py",
    "tests/terminal/test_terminal_pipe.py",
    "tests/test_allocator.py",
    "tests/test_app.py",
    "tests/test_check.py",
    "tests/test_child.py",
    "tests/test_ci.py",
    "tests/test_docker.py",
    "tests/test_errors.py",
    "tests/test_load.py",
    "tests/test_load_beside.py",
    "tests/test_notebooks.py",
    "tests/test_space.py",
    "tests/test_thinking.py",
    "tests/web/api/anthropic/test_client.py",
    "tests/web/api/clients/test_instructor.py",
    "tests/web/api/clients/test_langchain.py",
    "tests/web/api/clients/test_litellm.py",
    "tests/web/api/clients/test_pydantic_ai.py",
    "tests/web/api/responses/test_anything.py",
    "tests/web/api/responses/test_client.py",
    "tests/web/api/responses/test_tools.py",
    "tests/web/api/test_endpoint.py",
    "tests/web/api/test_fuzz.py",
    "tests/web/api/test_openapi.py",
    "tests/web/api/test_streams.py",
    "tests/web/api/test_tools.py",
    "tests/web/api/test_tools_model.py",
    "tests/web/page/panel/test_panel.py",
    "tests/web/page/panel/test_saved_imports.py",
    "tests/web/page/test_completion_page.py",
    "tests/web/page/test_page.py",
    "tests/web/test_drain.py",
    "tests/web/test_ending.py",
    "tests/web/test_guard.py",
    "tests/web/test_headers.py",
    "tests/web/test_health.py",
    "tests/web/test_logs.py",
    "tests/web/test_metrics.py",
    "tests/web/test_proxies.py",
    "tests/web/test_stubs.py",
    "tests/web/visitors/test_connections.py",
    "tests/web/visitors/test_login.py",
    "tests/web/visitors/test_logout.py",
    "tests/web/visitors/test_visitor.py",
}
#: Modules whose fixtures are too dear to be made by each worker.
WHOLE = {
    "tests/benchmarks/gpu/test_steps.py",
    "tests/deploy/test_ray.py",
    "tests/engines/batched/test_engine.py",
    "tests/engines/contract/test_contract.py",
    "tests/engines/openvino/test_adapters.py",
    "tests/engines/openvino/test_batcher.py",
    "tests/engines/openvino/test_drafting.py",
    "tests/engines/openvino/test_engine.py",
    "tests/engines/server/test_real.py",
    "tests/engines/transformers/test_families.py",
    "tests/models/test_build.py",
    "tests/test_app.py",
    "tests/test_notebooks.py",
    "tests/web/api/clients/test_instructor.py",
    "tests/web/api/clients/test_langchain.py",
    "tests/web/api/clients/test_litellm.py",
    "tests/web/api/clients/test_objects.py",
    "tests/web/api/clients/test_pydantic_ai.py",
    "tests/web/api/clients/test_tools.py",
}


@functools.cache
def is_slow(path: Path) -> bool:
    """Whether a module is, or those in a folder are."""
    return path.relative_to(ROOT).as_posix() in SLOW or CLIENTS in (path, *path.parents)


@functools.cache
def in_a_browser(path: Path) -> bool:
    """Whether the tests of a module are."""
    return BROWSER in path.parents


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules without fast tests out of those, which importing them would take longer."""
    if config.getoption("markexpr") != "fast":
        return None
    return is_slow(collection_path) or collection_path == BROWSER or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder and their fixtures; what is then unmarked is fast."""
    for item in items:
        if in_a_browser(item.path):
            item.add_marker("browser")
        if MODELS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("model")
        if is_slow(item.path):
            item.add_marker("slow")
        if not any(item.get_closest_marker(name) for name in ("browser", "model", "slow")):
            item.add_marker("fast")
    # Last, since what drives the browser has an event loop that stays, and others then cannot run.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_collection_finish() -> None:
    """Have the garbage collector leave what stays: each look at all of it takes half a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Have no test set the clock of the whole process: servers of later ones run beside it.

    What their event loops put off while it went ahead is due that much later.
    """
    result = yield
    assert time.monotonic is MONOTONIC, "this stops the servers of other tests"
    return result


class Scheduling(LoadScopeScheduling):
    """Gives each worker a test at a time, or a module that stays whole; those first."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module in WHOLE else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are cores, unless no test waits; none for single files."""
    named = any("::" in argument or argument.endswith(".py") for argument in config.args)
    waiting = config.getoption("markexpr") != "fast"
    return 0 if named else (os.cpu_count() or 1) + waiting


def pytest_collection(session: pytest.Session) -> None:
    """Import Gradio as the app does, which takes half as long; but where tests are handed out."""
    if not session.config.pluginmanager.has_plugin("dsession"):
        from chat.web import proxies

        proxies.import_gradio()


@contextmanager
def serving() -> Iterator[Serve]:
    """Serve pages around scripted engines in this process, until the end of the block."""
    from chat.settings import Settings
    from chat.web import serve
    from chat.web.page import page
    from tests.support.fakes import chat_with
    from tests.support.ports import free_port

    pages = []

    def start(
        engine: ScriptedEngine,
        max_waiting: int = 32,
        format: PromptFormat | None = None,
        chat: Chat | None = None,
        **settings: object,
    ) -> str:
        chosen = Settings(**{"max_waiting": max_waiting, "server_port": free_port(), **settings})
        built = page.build(chat or chat_with(engine, max_waiting, format), chosen)
        pages.append(built)
        return serve.launch(built, chosen, block=False)

    try:
        yield start
    finally:
        for built in pages:
            built.close()


@pytest.fixture(scope="session")
def stages() -> Iterator[Stages]:
    from tests.support.stages import Stages

    stages = Stages()
    yield stages
    stages.close()


@pytest.fixture(name="serve")
def _serve(request: pytest.FixtureRequest, stages: Stages) -> Iterator[Serve]:
    """Serve pages for one test; call it with an engine to get the page's address.

    Who has settings of their own, or replaces parts of the app, gets a page of their own too.
    """
    taken = []
    with serving() as start_anew:

        def start(
            engine: ScriptedEngine,
            max_waiting: int = 32,
            format: PromptFormat | None = None,
            **settings: object,
        ) -> str:
            if settings or "monkeypatch" in request.fixturenames:
                return start_anew(engine, max_waiting, format, **settings)
            taken.append(stages.take(engine, max_waiting, format))
            return taken[-1][1].url

        yield start
    for free, stage in taken:
        free.append(stage)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what all workers share; who makes something there holds its lock."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def gguf(shared: Path) -> Path:
    """A random two-layer Llama, which OpenVINO finds converted in the folder of its file."""
    from chat.models import ir
    from tests.support import gguf_file

    file = shared / "tiny" / "tiny.gguf"
    with FileLock(shared / "tiny.lock"):
        if not file.exists():
            file.parent.mkdir()
            ir.tokenizer_and_folder(gguf_file.write(file), file.parent)
    return file


@pytest.fixture(scope="session")
def embedded_model(shared: Path) -> Path:
    """The embedded model, fetched and converted for OpenVINO in the user's cache."""
    from chat.models import embedded, ir
    from chat.settings import Settings

    cache = Settings().cache_dir
    with FileLock(shared / "embedded.lock"):
        file = embedded.fetch(cache)
        ir.tokenizer_and_folder(file, cache)
    return file
