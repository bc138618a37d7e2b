"""Two nodes of Ray on this machine, and the app on them, a replica on each."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
import yaml

from benchmarks.server import ROOT

#: Seconds that a replica may take to be there, on a busy machine.
PATIENCE = 180
ENVIRONMENT = {
    # With less, a busy replica is passed over, and its conversations read anew elsewhere.
    "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(ROOT),
}
PORTS = (
    "node-manager",
    "object-manager",
    "dashboard-agent-listen",
    "dashboard-agent-grpc",
    "metrics-export",
    "runtime-env-agent",
)

#: What can be killed: of a node its raylet alone, which others outlive for seconds, or all.
Victim = Literal["replica", "child", "raylet", "node"]
NODES = ("raylet", "node")


class Note(NamedTuple):
    """A request for a reply came to a replica, or ended there."""

    time: float
    pid: int
    what: str
    session: str


class Cluster:
    """Ray, for as long as the block lasts; `port` gives another free port each time."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        # Of a short name, since those of the sockets in it may have 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self._notes = self._folder / "notes"
        self._notes.touch()
        # It listens at all of the machine's addresses.
        self._secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._address = f"127.0.0.1:{port()}"
        self._http = port()
        self.url = f"http://127.0.0.1:{self._http}"
        #: How many replicas there are in each state, by Ray's names for them.
        self._states: dict[str, int] = {}

    def __enter__(self) -> "Cluster":
        """Start a node."""
        try:
            head = [f"--temp-dir={self._folder}", "--include-dashboard=false"]
            head.append(f"--ray-client-server-port={self._port()}")
            self._start("--head", f"--port={self._address.partition(':')[2]}", *head)
            threading.Thread(target=self._watch, daemon=True).start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        left = self._processes()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def add_node(self) -> None:
        """Start another node."""
        self._start(f"--address={self._address}")

    def deploy(self, **options: Any) -> None:
        """Serve the app anew, as deploy/serve.yaml says, but for these options and for its size."""
        plan = yaml.safe_load((ROOT / "deploy/serve.yaml").read_text())
        plan["proxy_location"] = "HeadOnly"  # each has the same port
        plan["http_options"] = {"host": "127.0.0.1", "port": self._http}
        plan["applications"][0]["import_path"] = "benchmarks.kills.app:app"
        backend = plan["applications"][0]["deployments"][0]
        backend |= {"health_check_period_s": 1, **options}
        backend["ray_actor_options"]["num_cpus"] = 1
        backend["ray_actor_options"]["runtime_env"]["env_vars"] |= {
            "CHAT_CONTEXT_WINDOW": "2048",
            "KILLS_NOTES": str(self._notes),
            "KILLS_TIME": str(time.time()),  # what has changed is replaced
        }
        file = self._folder / "serve.yaml"
        file.write_text(yaml.safe_dump(plan))
        self._run("serve", "run", "--non-blocking", f"--address={self._address}", str(file))

    def replicas(self) -> list[psutil.Process]:
        """Return the processes of the replicas that have an engine."""
        named = (one for one in self._processes() if line(one).startswith("ray::ServeReplica:"))
        return [replica for replica in named if engine_of(replica)]

    def heads(self, replica: psutil.Process) -> bool:
        """Whether a replica is on the node that holds the cluster together."""
        node = replica.parent()
        return node is None or "--head" in line(node)

    async def running(self, count: int, but: frozenset[int] = frozenset()) -> float:
        """Wait until so many replicas are there, none of them one of `but`; return the seconds.

        Raises:
            TimeoutError: they do not come.
        """
        begun = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while True:
                pids = {replica.pid for replica in self.replicas()}
                if len(pids) == count and not pids & but and self._states == {"RUNNING": count}:
                    return time.monotonic() - begun
                await asyncio.sleep(0.1)

    def kill(self, what: Victim, replica: psutil.Process) -> None:
        """End a replica, the process of its engine, or all of its node, as if by a fault."""
        engine, node = engine_of(replica), replica.parent()
        assert engine
        assert node
        dying = {
            "replica": [replica],
            "child": [engine],
            "raylet": [node],
            "node": [node, *node.children(recursive=True)],
        }
        for process in dying[what]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def notes(self, since: float, what: str) -> list[Note]:
        """Return who came, or what ended, since a time of `time.time`."""
        lines = map(str.split, self._notes.read_text().splitlines())
        notes = [Note(float(time), int(pid), what, session) for time, pid, what, session in lines]
        return [note for note in notes if note.time >= since and note.what == what]

    def _start(self, *flags: str) -> None:
        # Those of its workers are the system's choice; Ray's own could be one of these.
        ports = [f"--{name}-port={self._port()}" for name in PORTS]
        ports += ["--min-worker-port=0", "--max-worker-port=0"]
        size = ("--num-cpus=1", "--object-store-memory=100000000")
        alone = ("--node-ip-address=127.0.0.1", "--disable-usage-stats")
        self._run("ray", "start", *flags, *alone, *size, *ports, "--include-log-monitor=false")

    def _watch(self) -> None:
        command = [sys.executable, "-m", "benchmarks.kills.states", self._address]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, **self._secret},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout
            for line in process.stdout:
                with suppress(ValueError):
                    self._states = json.loads(line)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [Path(sys.executable).parent / program, *arguments],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, **self._secret},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}")

    def _processes(self) -> list[psutil.Process]:
        """Return all that run the cluster: who names its folder, and their children."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if str(self._folder) in line(process):
                    found |= {process, *process.children(recursive=True)}
        return list(found)


def engine_of(replica: psutil.Process) -> psutil.Process | None:
    """Return the process that runs a replica's model."""
    with suppress(psutil.Error):
        return next((one for one in replica.children() if "chat.engines." in line(one)), None)
    return None


def line(process: psutil.Process) -> str:
    """Return the command line of a process; of one that has ended there is none."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
