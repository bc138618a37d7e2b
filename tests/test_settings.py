"""chat.settings: flags and `CHAT_*` variables, checked at start."""

from pathlib import Path

import pytest

from chat.core.sampling import Sampling
from chat.errors import SettingsError
from chat.settings import Settings, read


def test_without_flags_and_variables_the_defaults_hold() -> None:
    settings = read([])
    assert settings.model == "auto"
    assert settings.sampling() == Sampling()
    assert settings.share is False
    assert settings.logins() is None


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_a_flag_and_a_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    value = {
        "auth": "ann:secret",
        "share": "true",
        "strict_api": "true",
        "echo": "true",
        "tune": "true",
        "titles": "false",
        "touch_enter": "send",
        "accent": "teal",
        "engine": "openvino",
        "prompt_format": "chatml",
        "context_window": "100",
        "json_schema": "{}",
        "min_p": "0.5",
        "thinking": "off",
        "server_url": "http://host",
        "conversations_key": "k" * 32,
        "log_format": "json",
        "trusted_proxies": "10.0.0.0/8",
    }.get(name, "1")
    flag = f"--{name.replace('_', '-')}"
    flags = {"true": [flag], "false": [f"--no-{flag[2:]}"]}
    monkeypatch.delenv(f"CHAT_{name.upper()}", raising=False)
    by_flag = read(flags.get(value, [flag, value]))
    monkeypatch.setenv(f"CHAT_{name.upper()}", value)
    by_variable = read([])
    assert getattr(by_flag, name) == getattr(by_variable, name)
    assert getattr(by_flag, name) != Settings.model_fields[name].default


def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TOP_K", "7")
    assert read(["--top-k", "9"]).top_k == 9
    assert read([]).top_k == 7


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TEMPERATURE", "")
    monkeypatch.setenv("CHAT_AUTH", "")
    assert read([]) == Settings()


def test_a_misspelt_variable_is_named_with_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_HISTORY_OF_SOMETHING_ELSE", "1")
    assert read([]) == Settings()
    monkeypatch.setenv("CHAT_TEMPRATURE", "1")
    with pytest.raises(SettingsError, match=r"no setting CHAT_TEMPRATURE.* mean CHAT_TEMPERATURE"):
        read([])


def test_an_empty_flag_is_meant() -> None:
    assert read(["--system-prompt", ""]).system_prompt == ""


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("temperature", "nan", "must be a number"),
        ("temperature", "inf", "must be a number"),
        ("temperature", "warm", "must be a number"),
        ("temperature", "-1", "must be at least 0"),
        ("max-new-tokens", "2.5", "must be a whole number"),
        ("max-new-tokens", "true", "must be a whole number"),
        ("max-new-tokens", "0", "must be at least 1"),
        ("max-new-tokens-limit", "0", "must be at least 1"),
        ("max-new-tokens-limit", "many", "must be a whole number"),
        ("context-window", "63", "must be at least 64"),
        ("max-waiting", "-1", "must be at least 0"),
        ("server-port", "65536", "must be at most 65535"),
        ("server-port", "http", "must be a whole number"),
        ("prompt-format", "poem", "there are auto, llama2, llama3, chatml"),
        ("system-prompt", "x" * 10_001, "at most 10,000 characters"),
    ],
)
def test_an_unusable_value_is_refused_with_its_flag_and_variable(
    name: str, value: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"CHAT_{name.replace('-', '_').upper()}"
    with pytest.raises(SettingsError) as by_flag:
        read([f"--{name}", value])
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as by_variable:
        read([])
    assert str(by_flag.value) == str(by_variable.value)
    assert str(by_flag.value).startswith(f"--{name} (or {variable}) ")
    assert problem in str(by_flag.value)


@pytest.mark.parametrize("flag", ["--model", "--auth", "--server-port"])
def test_an_empty_flag_is_refused_where_nothing_is_unusable(flag: str) -> None:
    with pytest.raises(SettingsError, match=f"^{flag} "):
        read([flag, ""])


@pytest.mark.parametrize("arguments", [["--temprature", "1"], ["--temp", "1"], ["embedded"]])
def test_an_unknown_flag_is_refused_by_name(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_help_documents_each_flag_with_its_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as caught:
        read(["--help"])
    assert caught.value.code == 0
    entries = capsys.readouterr().out.rstrip().partition("options:")[2].split("\n  -")
    for name, field in Settings.model_fields.items():
        flag = f"-{name.replace('_', '-')}"
        entry = next(entry for entry in entries if entry.startswith((f"{flag} ", f"{flag},")))
        default = "null" if field.default is None else str(field.default)
        assert entry.endswith(f"{field.description} (default: {default})"), entry


@pytest.mark.parametrize(
    ("auth", "logins"),
    [
        ("ann:one", [("ann", "one")]),
        ("ann:one,bob:two", [("ann", "one"), ("bob", "two")]),
        (" ann:one , bob:t:w:o ", [("ann", "one"), ("bob", "t:w:o")]),
    ],
)
def test_logins_are_read_as_gradio_takes_them(auth: str, logins: list[tuple[str, str]]) -> None:
    assert read(["--auth", auth]).logins() == logins


@pytest.mark.parametrize("auth", ["hunter2", "ann:", ":hunter2", "ann:hunter2,", ",ann:hunter2"])
def test_a_login_without_a_name_or_a_password_is_refused_and_not_repeated(auth: str) -> None:
    with pytest.raises(SettingsError, match=r"--auth \(or CHAT_AUTH\) .* user:password") as caught:
        read(["--auth", auth])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_a_key_of_nothing_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=r"^--api-key \(or CHAT_API_KEY\) "):
        read(["--api-key", key])


@pytest.mark.parametrize("name", ["auth", "api-key"])
def test_a_password_does_not_show_when_the_settings_are_printed(name: str) -> None:
    settings = read([f"--{name}", "ann:hunter2"])
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "7860.0", "²"])
def test_a_port_that_would_stop_gradio_with_a_traceback_is_refused(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(SettingsError, match="GRADIO_SERVER_PORT must be a whole number"):
        read([])


@pytest.mark.parametrize("told", ["*", "10.0.0.1, proxy", "10.0.0.0/33"])
def test_proxies_that_uvicorns_variable_cannot_name_are_refused(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `*` anybody could say which address they come from."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", told)
    with pytest.raises(SettingsError, match="FORWARDED_ALLOW_IPS cannot be used: write addresses"):
        read([])
    assert read(["--trusted-proxies=10.0.0.0/8"]).trusted_proxies == "10.0.0.0/8"


def test_what_kubernetes_sets_beside_a_service_called_chat_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SERVICE_PORT", "SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP_ADDR"):
        monkeypatch.setenv(f"CHAT_{name}", "10.0.0.1")
    assert read([]).server_port is None


@pytest.mark.parametrize("setting", ["cache-dir", "data-dir"])
def test_a_home_that_nobody_has_is_said(setting: str) -> None:
    with pytest.raises(SettingsError, match="there is no such home"):
        read([f"--{setting}=~nobody-of-this-name/x"])


@pytest.mark.parametrize("port", ["", "1", "7860", "65535"])
def test_gradios_own_port_variable_works(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    assert read([]).server_port is None


@pytest.mark.parametrize(
    ("folder", "problem"),
    [("", "name a folder"), ("/proc/cache", "nothing can be written there"), (__file__, "nothing")],
)
@pytest.mark.parametrize("name", ["cache", "data"])
def test_a_folder_that_cannot_be_written_is_refused(name: str, folder: str, problem: str) -> None:
    named = rf"--{name}-dir \(or CHAT_{name.upper()}_DIR\)"
    with pytest.raises(SettingsError, match=rf"^{named} is not usable: .*{problem}"):
        read([f"--{name}-dir", folder]).require_data_dir()


def test_doors_without_a_page_need_no_data_folder() -> None:
    assert read(["--data-dir", "/proc/self"]).data_dir == Path("/proc/self")


def test_a_pattern_that_cannot_be_used_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"^--regex \(or CHAT_REGEX\) "):
        read(["--regex", "("])
    with pytest.raises(SettingsError, match="only one can be set"):
        read(["--regex", "a", "--choices", "b"])


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(SettingsError, match=r"--engine .* 'openvino', 'batched' or 'transf"):
        read(["--engine", "vllm"])


def test_a_chat_template_that_was_chosen_is_used() -> None:
    assert read(["--chat-template", "rag"]).prompt_format == "template"
    flags = ["--chat-template", "rag", "--prompt-format"]
    assert read([*flags, "template"]).prompt_format == "template"
    with pytest.raises(
        SettingsError, match=r"^--chat-template cannot be used with .* llama2, [^.]+\.$"
    ):
        read([*flags, "llama2"])


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("", ""),
        ("/", ""),
        ("/chat", "/chat"),
        ("chat", "/chat"),
        ("/a/chat/", "/a/chat"),
        ("/pl%C3%A4ne", "/pläne"),
        ("https://example.com/chat", "/chat"),
        ("https://example.com", ""),
    ],
)
def test_a_root_path_is_read_however_it_is_written(
    path: str, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(["--root-path", path]).root() == root
    monkeypatch.setenv("GRADIO_ROOT_PATH", path)
    assert read([]).root() == root
    assert read(["--root-path", "/other"]).root() == "/other"


@pytest.mark.parametrize("path", ["/a b", "/a/../b", ".", "/a?b", "/a#b", "/a%0Ab", "a\\b"])
def test_a_root_path_that_is_none_is_refused_at_the_start(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"^--root-path \(or CHAT_ROOT_PATH\).* such as /chat"):
        read(["--root-path", path])
    monkeypatch.setenv("GRADIO_ROOT_PATH", path)
    with pytest.raises(SettingsError, match=r"^GRADIO_ROOT_PATH must be a path such as /chat"):
        read([])


SECRET = "a secret of more than 32 characters"


@pytest.mark.parametrize("key", ["", " ", "k" * 31, f" {'k' * 31} "])
def test_a_secret_that_can_be_guessed_is_refused_and_not_repeated(key: str) -> None:
    named = r"^--conversations-key \(or CHAT_CONVERSATIONS_KEY\) .*at least 32 characters\.$"
    with pytest.raises(SettingsError, match=named) as caught:
        read(["--conversations-key", key])
    assert "kkk" not in str(caught.value)


@pytest.mark.parametrize("name", ["auth", "api-key", "conversations-key"])
def test_a_secret_that_is_no_text_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^--{name} .* write it in UTF-8"):
        read([f"--{name}", f"u:{SECRET}\udcff"])


def test_a_secret_is_not_shown() -> None:
    assert SECRET not in repr(read(["--conversations-key", SECRET]))


def test_a_data_folder_that_cannot_be_written_will_do_with_a_secret() -> None:
    folder = Path("/proc/self")  # in which nobody can make a file
    with pytest.raises(SettingsError, match="nothing can be written there"):
        read(["--data-dir", str(folder)]).require_data_dir()
    read(["--data-dir", str(folder), "--conversations-key", SECRET]).require_data_dir()


def test_a_data_folder_that_cannot_be_written_will_do_if_the_key_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chat.settings.serving.KEY_FILE", "status")  # a file that is there
    read(["--data-dir", "/proc/self"]).require_data_dir()


def test_a_title_is_a_line_of_text() -> None:
    assert read(["--title", "  Ann's\n model "]).title == "Ann's model"
    for title in ("", " \n", "a\x1b[31m", "x" * 61):
        with pytest.raises(SettingsError, match=r"^--title \(or CHAT_TITLE\)"):
            read(["--title", title])


@pytest.mark.parametrize("name", ["stop", "choices"])
def test_a_flag_of_lines_that_is_given_again_adds_a_line(name: str) -> None:
    assert getattr(read([f"--{name}", "a", f"--{name}", "b,c"]), name) == ("a", "b,c")


@pytest.mark.parametrize("name", ["examples", "feedback", "api_keys", "cache_dir", "data_dir"])
def test_a_home_is_found_in_a_variable_where_no_shell_sees_to_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(f"CHAT_{name.upper()}", "~/x")
    assert getattr(read([]), name) == tmp_path / "x"
