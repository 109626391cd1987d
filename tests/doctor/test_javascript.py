"""What Echo gets, read from an app's pages without running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.doctor.javascript import EchoCall, PageHost, Unknown, Unset, Value, echo_calls

ENV = {"VITE_KEY": "key", "VITE_PORT": "6001", "VITE_SCHEME": "http", "MIX_EMPTY": ""}


def calls(folder: Path, text: str, name: str = "resources/js/app.js") -> list[EchoCall]:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return list(echo_calls(folder, ENV))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'text'", "text"),
        ('"text"', "text"),
        ("`text`", "text"),
        ("6001", 6001.0),
        ("true", True),
        ("!true", False),
        ("null", None),
        ("undefined", Unset()),
        ("import.meta.env.VITE_KEY", "key"),
        ("process.env.VITE_KEY", "key"),
        ("import.meta.env.VITE_NOWHERE", Unset("VITE_NOWHERE")),
        ("import.meta.env.VITE_NOWHERE ?? 'mt1'", "mt1"),
        ("process.env.MIX_EMPTY || 80", 80.0),
        ("process.env.MIX_EMPTY ?? 80", ""),
        ("Number(import.meta.env.VITE_PORT)", "6001"),
        ("(import.meta.env.VITE_SCHEME ?? 'https') === 'https'", False),
        ("import.meta.env.VITE_SCHEME !== 'https'", True),
        ("import.meta.env.VITE_KEY ? 1 : 2", 1.0),
        ("window.location.hostname", PageHost()),
        ("location.hostname", PageHost()),
        ("window.settings.port", Unknown("window.settings.port")),
        ("`a${b}`", Unknown("`a${b}`")),
        ("port ?? 6001", Unknown("port ?? 6001")),
    ],
)
def test_a_value_is_told_or_said_to_be_untold(tmp_path: Path, written: str, value: Value) -> None:
    [call] = calls(tmp_path, f"window.Echo = new Echo({{\n  option: {written},\n}});")
    found = call.options.get("option")
    assert found == value
    assert type(found) is type(value)


def test_the_place_and_whether_that_is_all_are_told(tmp_path: Path) -> None:
    text = "\n\nnew Echo({ key: 'a' });\nnew Echo({ ...rest, key: 'b' });\nnew Echo(options);\n"
    found = calls(tmp_path, text)
    assert [(call.line, call.whole, call.options.get("key")) for call in found] == [
        (3, True, "a"),
        (4, False, "b"),
        (5, False, None),
    ]


@pytest.mark.parametrize("name", ["resources/js/App.vue", "resources/views/chat.blade.php"])
def test_scripts_in_pages_are_read_at_their_lines(tmp_path: Path, name: str) -> None:
    text = "<div>{{ new Echo({ key: 'text' }) }}</div>\n<script setup>\nnew Echo({ key: 'a' })\n</script>\n"
    [call] = calls(tmp_path, text, name)
    assert (call.file, call.line, call.options) == (name, 3, {"key": "a"})


def test_what_blade_writes_is_untold(tmp_path: Path) -> None:
    text = "<script>new Echo({ key: '{{ config('x')['y'] }}', wsPort: {{ $port }}, a: {!! 'b' !!} })</script>"
    [call] = calls(tmp_path, text, "resources/views/app.blade.php")
    assert [type(value) for value in call.options.values()] == [Unknown] * 3


def test_the_hook_of_newer_starter_kits_is_a_call_too(tmp_path: Path) -> None:
    [call] = calls(tmp_path, "configureEcho({ broadcaster: 'reverb' });", "resources/js/app.tsx")
    assert call.options == {"broadcaster": "reverb"}


def test_code_in_comments_and_of_others_is_not_read(tmp_path: Path) -> None:
    assert calls(tmp_path, "// new Echo({ key: 'a' })\n/* new Echo({}) */ Echo.channel('x');") == []
    assert calls(tmp_path, "new Echo({})", "resources/js/node_modules/x.js") == []
