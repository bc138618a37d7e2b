"""deploy/: what the recipes name is there, and they agree with each other."""

import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import dropwhile
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from chat import __version__
from chat.settings import Settings
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
FILES = sorted(file for file in DEPLOY.iterdir() if file.is_file())
README = (DEPLOY / "README.md").read_text()
HAPROXY = (DEPLOY / "haproxy.cfg").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
KUBERNETES = {
    (one["kind"], one["metadata"]["name"]): one
    for one in yaml.safe_load_all((DEPLOY / "rayservice.yaml").read_text())
}
RAY = KUBERNETES["RayService", "fourbit-backends"]["spec"]
PAGES = KUBERNETES["Deployment", "fourbit-pages"]["spec"]
PAGE = PAGES["template"]["spec"]["containers"][0]

FLAGS = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
VARIABLES = {f"CHAT_{name.upper()}" for name in Settings.model_fields}
#: Programs of others that the note has commands for.
PROGRAMS = {
    "chmod",
    "docker",
    "export",
    "haproxy",
    "helm",
    "kubectl",
    "litellm",
    "llama-server",
    "pip",
    "printf",
    "ray",
    "serve",
    "vllm",
    "vllm-router",
}


def read(file: Path) -> Any:
    text = file.read_text()
    match file.suffix:
        case ".yaml":
            return list(yaml.safe_load_all(text))
        case ".json":
            return json.loads(text)
    return text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_can_be_read_and_is_named_in_the_note(file: Path) -> None:
    assert read(file)
    assert file.name == "README.md" or file.name in README


def images(found: Any) -> Iterator[str]:
    """Yield each image that is named anywhere."""
    if isinstance(found, dict):
        if "repository" in found:
            yield f"{found['repository']}:{found.get('tag', '')}"
        if isinstance(found.get("image"), str):
            yield found["image"]
        for one in found.values():
            yield from images(one)
    elif isinstance(found, list):
        for one in found:
            yield from images(one)


def test_images_are_pinned_and_ours_have_the_version_that_this_is() -> None:
    yamls = [one for file in FILES if file.suffix == ".yaml" for one in read(file)]
    named = set(images(yamls))
    assert len(named) >= 4
    for image in named:
        name, _, tag = image.partition(":")
        assert re.fullmatch(r"v?\d+\.\d+\.\d+(-\w+)?", tag), image
        assert tag == __version__ or not name.startswith("fourbit")
    built = re.findall(r"docker build -t (\S+)", README)
    assert set(built) == {image for image in named if image.startswith("fourbit")}
    assert "FROM ${APP}\n" in (DEPLOY / "ray.Dockerfile").read_text()
    assert f"ARG APP=fourbit-chat:{__version__}\n" in (DEPLOY / "ray.Dockerfile").read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_variable_of_ours_is_a_setting(file: Path) -> None:
    named = set(re.findall(r"\bCHAT_[A-Z_]+\b", file.read_text()))
    assert named <= VARIABLES, named - VARIABLES


def commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    inline = re.findall(r"\| `([^`]+)` \|$", README, re.MULTILINE)
    in_files = [one["command"] for one in SERVICES.values() if "command" in one] + [PAGE["args"]]
    lines = [line for block in blocks for line in block.splitlines() if line] + inline
    return [without_variables(shlex.split(line)) for line in lines] + in_files


def without_variables(words: list[str]) -> list[str]:
    """Return a command without what is set for it alone."""
    return list(dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words))


def test_every_command_is_one_and_every_flag_of_ours_a_setting() -> None:
    ours = 0
    for program, *arguments in commands():
        if program != "python":
            assert program in PROGRAMS, program
            continue
        module = arguments[1] if arguments[0] == "-m" else arguments[0].removesuffix(".py")
        if module.startswith("sglang"):
            continue
        assert find_spec(module), module
        flags = {one.partition("=")[0] for one in arguments if one.startswith("--")}
        assert flags <= FLAGS, flags - FLAGS
        ours += 1
    assert ours >= 6


def test_files_that_commands_name_are_there() -> None:
    named = [one for command in commands() for one in command if one.startswith("deploy/")]
    named = [one for one in named if one != "deploy/.env"]  # which they make
    assert len(named) >= 4
    assert all((ROOT / one).is_file() for one in named), named


def addresses(section: str) -> dict[str, str]:
    """Return the servers of a backend of HAProxy, with their ports."""
    (text,) = re.findall(rf"^backend {section}\n((?: .*\n)+)", HAPROXY, re.MULTILINE)
    return dict(re.findall(r"^    server \w+ (\w+):(\d+)", text, re.MULTILINE))


def test_haproxy_and_compose_name_the_same_servers_at_the_same_ports() -> None:
    assert addresses("pages") == {"page1": "7860", "page2": "7860"}
    assert addresses("backends") == {"backend1": "8000", "backend2": "8000"}
    assert {*addresses("pages"), *addresses("backends")} < SERVICES.keys()
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "EXPOSE 7860" in dockerfile
    for name in addresses("backends"):
        assert SERVICES[name]["environment"]["CHAT_SERVER_PORT"] == "8000"
    binds = re.findall(r"bind :(\d+)$", HAPROXY, re.MULTILINE)
    assert binds == ["7860", "8000"]
    for name in addresses("pages"):
        assert SERVICES[name]["command"][-1] == "http://inside:8000"
    assert SERVICES["entrance"]["ports"] == ["127.0.0.1:7860:7860"]  # to let others in is a choice
    published = [name for name, service in SERVICES.items() if "ports" in service]
    assert published == ["entrance"]


def test_what_calls_each_other_shares_a_network_and_a_key() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    for name in addresses("pages"):
        assert networks[name] & networks["entrance"]
        assert networks[name] & networks["inside"]
    for name in addresses("backends"):
        assert networks[name] & networks["inside"]
        assert not networks[name] & networks["entrance"]  # nobody reaches them from outside
    page, backend = SERVICES["page1"]["environment"], SERVICES["backend1"]["environment"]
    assert page["CHAT_SERVER_KEY"] == backend["CHAT_API_KEY"]
    assert page["CHAT_MODEL"] == backend["CHAT_MODEL"]


def test_no_secret_is_written_down() -> None:
    secret = {"CHAT_CONVERSATIONS_KEY", "CHAT_SERVER_KEY", "CHAT_API_KEY", "CHAT_AUTH"}
    for service in SERVICES.values():
        for name in secret & service.get("environment", {}).keys():
            assert service["environment"][name].startswith("${")
    for container in (PAGE, *ray_containers()):
        for one in container["env"]:
            assert ("valueFrom" in one) == (one["name"] in secret), one


#: HAProxy passes on what pages write until they end.
PASSED_ON = SERVICES["page1"]["environment"]


@pytest.mark.parametrize(
    ("drain", "kill"),
    [
        *(
            (
                service.get("environment", PASSED_ON)["CHAT_DRAIN_SECONDS"],
                service["stop_grace_period"],
            )
            for service in SERVICES.values()
        ),
        (
            next(one["value"] for one in PAGE["env"] if one["name"] == "CHAT_DRAIN_SECONDS"),
            PAGES["template"]["spec"]["terminationGracePeriodSeconds"],
        ),
    ],
)
def test_whoever_kills_waits_longer_than_a_drain(drain: str, kill: str) -> None:
    assert int(str(kill).removesuffix("s")) >= int(drain) + 5


def ray_containers() -> list[dict[str, Any]]:
    cluster = RAY["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [one for group in groups for one in group["template"]["spec"]["containers"]]


def test_kubernetes_names_what_is_there() -> None:
    served = yaml.safe_load(RAY["serveConfigV2"])
    (application,) = served["applications"]
    module, _, name = application["import_path"].partition(":")
    assert re.search(rf"^{name} = ", (ROOT / f"{module.replace('.', '/')}.py").read_text(), re.M)
    port = served["http_options"]["port"]
    assert f"--server-url=http://fourbit-backends-serve-svc:{port}" in PAGE["args"]
    pinned = re.search(r"ray\[serve\]==(\S+)", (DEPLOY / "requirements.txt").read_text())
    assert RAY["rayClusterConfig"]["rayVersion"] == pinned[1]
    assert RAY["rayClusterConfig"]["authOptions"] == {"mode": "token"}
    secret = KUBERNETES["Secret", "fourbit-chat"]["stringData"]
    asked = [one["valueFrom"]["secretKeyRef"] for one in PAGE["env"] if "valueFrom" in one]
    asked += [
        one["valueFrom"]["secretKeyRef"]
        for container in ray_containers()
        for one in container["env"]
        if "valueFrom" in one
    ]
    assert {(one["name"], one["key"]) for one in asked} == {("fourbit-chat", key) for key in secret}


def test_pages_on_kubernetes_are_found_probed_and_scaled() -> None:
    labels = PAGES["template"]["metadata"]["labels"]
    assert PAGES["selector"]["matchLabels"] == labels
    assert KUBERNETES["Service", "fourbit-pages"]["spec"]["selector"] == labels
    target = KUBERNETES["HorizontalPodAutoscaler", "fourbit-pages"]["spec"]["scaleTargetRef"]
    assert ("Deployment", target["name"]) in KUBERNETES
    assert PAGE["ports"] == [{"name": "http", "containerPort": 7860}]
    paths = {probe: PAGE[probe]["httpGet"]["path"] for probe in PAGE if probe.endswith("Probe")}
    assert paths == {
        "startupProbe": "/live",
        "readinessProbe": "/health",
        "livenessProbe": "/live",
    }


def test_the_router_of_vllm_goes_by_the_header_that_pages_send() -> None:
    router = yaml.safe_load((DEPLOY / "vllm-values.yaml").read_text())["routerSpec"]
    assert (router["routingLogic"], router["sessionKey"]) == ("session", "x-session-id")
    assert "balance hdr(x-session-id)\n    hash-type consistent\n" in HAPROXY


def test_every_figure_of_the_dashboard_is_there(serve: Serve) -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    texts += [one["query"] for one in dashboard["templating"]["list"]]
    named = {
        name for text in texts for name in re.findall(r"\b(?:vllm:|fourbit_|process_)\w+", text)
    }
    assert len(named) > 12
    given = httpx.get(f"{serve(ScriptedEngine())}metrics").text
    there = {re.split(r"[{ ]", line)[0] for line in given.splitlines() if line[:1] != "#"}
    assert named <= there, named - there
    shown = {one["id"] for one in dashboard["panels"]}
    assert len(shown) == len(dashboard["panels"])
