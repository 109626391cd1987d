"""Class name → file → declaration, and when a file counts as changed."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import time
from pathlib import Path

import pytest

from bridge.errors import NotTried, Refused, SourceChanging
from bridge.phpeval.laravel import app_source as source_module
from bridge.phpeval.laravel.app_source import AppSource


def write(folder: Path, relative: str, text: str) -> None:
    file = folder / relative
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_class_is_found_by_the_longest_prefix_of_composer_json(tmp_path: Path) -> None:
    write(
        tmp_path,
        "composer.json",
        '{"autoload": {"psr-4": {"App\\\\": "app/", "App\\\\Deep\\\\": ["src", "lib"]}}}',
    )
    write(tmp_path, "lib/One.php", "<?php namespace App\\Deep; class One { }")
    found = AppSource(tmp_path).load("App\\Deep\\One")
    assert found is not None
    assert found.file == "lib/One.php"


def test_without_composer_json_app_is_the_root(tmp_path: Path) -> None:
    write(tmp_path, "app/One.php", "<?php namespace App; class One { }")
    source = AppSource(tmp_path)
    assert source.has_code
    assert source.load("App\\One") is not None
    assert source.load("App\\Two") is None
    assert source.load("Other\\One") is None


def test_a_folder_of_only_an_env_file_has_no_code(tmp_path: Path) -> None:
    assert not AppSource(tmp_path).has_code


@pytest.mark.parametrize("broken", ["class One {", "class One { public function }", "class One { $ }"])
def test_a_file_with_an_error_is_refused_whole_and_others_are_not(tmp_path: Path, broken: str) -> None:
    write(tmp_path, "app/One.php", f"<?php namespace App; {broken}")
    write(tmp_path, "app/Two.php", "<?php namespace App; class Two { }")
    source = AppSource(tmp_path)
    with pytest.raises(Refused, match=r"app/One\.php"):
        source.load("App\\One")
    assert source.load("App\\Two") is not None


def test_a_change_is_told_once_the_file_was_looked_at(tmp_path: Path) -> None:
    write(tmp_path, "app/One.php", "<?php namespace App; class One { }")
    source = AppSource(tmp_path)
    source.load("App\\One")
    assert not source.changed()
    write(tmp_path, "app/One.php", "<?php namespace App; class One { public $more; }")
    assert source.changed()
    found = source.load("App\\One")
    assert found is not None
    assert "more" in found.properties
    (tmp_path / "app/One.php").unlink()
    assert source.changed()


def test_providers_in_folders_below_are_read_and_caches_are_not(tmp_path: Path) -> None:
    write(tmp_path, "app/Providers/Deep/One.php", "<?php")
    write(tmp_path, "bootstrap/app.php", "<?php")
    write(tmp_path, "bootstrap/cache/config.php", "<?php")
    write(tmp_path, "Modules/Shop/Providers/Two.php", "<?php")
    write(tmp_path, "config/app.php", "<?php")
    write(tmp_path, "database/seeders/Seeder.php", "<?php")
    (tmp_path / "app/Providers/.#One.php").symlink_to("nobody@nowhere.17")
    source = AppSource(tmp_path)
    found = [file for file in source.boot_files() if source.text(file)]
    app, *others = found
    assert app == "app/Providers/Deep/One.php"
    assert others == ["Modules/Shop/Providers/Two.php", "bootstrap/app.php", "config/app.php"]


@pytest.mark.parametrize(
    ("text", "mentioned"), [("One::$count = 5;", True), ("One::$$name = 5;", True), ("", False)]
)
def test_a_static_property_is_mentioned_anywhere_in_the_app(
    tmp_path: Path, text: str, mentioned: bool
) -> None:
    write(tmp_path, "routes/web.php", f"<?php {text}")
    assert AppSource(tmp_path).mentions_static("count") is mentioned


@pytest.mark.parametrize(
    ("document", "version"),
    [
        ('{"config": {"platform": {"php": "8.1.27"}}}', (8, 1)),
        ('{"config": {"platform": {"php": "7.4"}}}', (7, 4)),
        ('{"config": {"platform": {"php": false}}}', None),
        ('{"require": {"php": "^8.2"}}', None),
        ('{"require": {"php": "^7.3|^8.0"}}', None),
        ('{"require": {"php": ">=7.2"}}', None),
        ('{"require": {"php": "^7.2.5"}}', (7, 2)),
        ('{"require": {"php": "~7.3.0 || ~7.4.0"}}', (7, 3)),
        ('{"require": {"php": "^7.2"}, "config": {"platform": {"php": "8.1"}}}', (8, 1)),
        ("[]", None),
    ],
)
def test_the_php_that_composer_installs_for_is_known_where_it_is_said(
    tmp_path: Path, document: str, version: tuple[int, int] | None
) -> None:
    write(tmp_path, "composer.json", document)
    assert AppSource(tmp_path).php_platform == version


def test_links_that_lead_nowhere_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, "app/Providers/AppServiceProvider.php", "<?php Some::$thing;")
    (tmp_path / "app/Providers/.#AppServiceProvider.php").symlink_to("somebody@machine.4711")
    (tmp_path / "app/Providers/Loop.php").symlink_to("Loop.php")
    source = AppSource(tmp_path)
    assert [text for text in map(source.text, source.boot_files()) if text] == [b"<?php Some::$thing;"]
    assert source.mentions_static("thing")
    assert not source.mentions_static("other")
    assert source.text("app/Providers/.#AppServiceProvider.php") == b""


def test_a_file_that_is_away_for_a_moment_is_no_missing_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "app/One.php"
    write(tmp_path, "app/One.php", "<?php namespace App; class One { }")
    source = AppSource(tmp_path)
    assert source.load("App\\One") is not None
    file.rename(tmp_path / "aside")
    with pytest.raises(SourceChanging, match=r"away \(app/One\.php\)"):
        source.load("App\\One")
    (tmp_path / "aside").rename(file)
    assert source.load("App\\One") is not None
    file.unlink()
    with pytest.raises(SourceChanging):
        source.load("App\\One")
    monkeypatch.setattr(source_module, "AWAY", 0.0)
    assert source.load("App\\One") is None


@pytest.mark.parametrize("text", ["", "<?php\n\nnamespace App;\n", "<?php namespace App; /** says wh"])
def test_a_file_that_is_empty_so_far_is_waited_for(tmp_path: Path, text: str) -> None:
    file = tmp_path / "app/One.php"
    write(tmp_path, "app/One.php", text)
    source = AppSource(tmp_path)
    with pytest.raises(SourceChanging, match="being written"):
        source.load("App\\One")
    os.utime(file, (time.time() - 60, time.time() - 60))
    with contextlib.suppress(Refused):  # what was half written, and stays so
        assert source.load("App\\One") is None
    write(tmp_path, "app/One.php", "<?php namespace App; class One { }")
    assert source.load("App\\One") is not None
    assert source.load("App\\Other") is None


def test_a_file_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "app/One.php"
    write(tmp_path, "app/One.php", "<?php namespace App; class One {")
    with pytest.raises(SourceChanging, match="being written"):
        AppSource(tmp_path).load("App\\One")
    os.utime(file, (time.time() - 60, time.time() - 60))
    with pytest.raises(Refused) as refusal:
        AppSource(tmp_path).load("App\\One")
    assert not isinstance(refusal.value, SourceChanging)


def test_where_no_descriptor_is_left_the_machine_is_at_fault(tmp_path: Path) -> None:
    write(tmp_path, "app/Providers/One.php", "<?php class One { }")
    source = AppSource(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    folder = os.open(tmp_path, os.O_RDONLY)
    os.close(folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, (folder, limits[1]))
    try:
        with pytest.raises(NotTried, match=errno.errorcode[errno.EMFILE]):
            source.load("App\\Providers\\One")
        with pytest.raises(NotTried, match="EMFILE"):
            source.text("app/Providers/One.php")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert source.load("One") is None
    assert source.parse("app/Providers/One.php")
