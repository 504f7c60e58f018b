"""The first set-up: quick when nothing is to do, and one message for each thing that a machine may lack."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

from data_platform.settings import PROJECT_ROOT

SOURCE = PROJECT_ROOT / "deploy" / "bootstrap.py"


def load() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, over a checkout of its own without environments."""
    module = load()
    shutil.copytree(PROJECT_ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(PROJECT_ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "TOOLS", tmp_path / ".venv-tools")
    monkeypatch.setattr(module, "java_is_missing", lambda: None)
    return module


def pretend_installed(bootstrap: ModuleType, *groups: str) -> None:
    for environment in bootstrap.ENVIRONMENTS:
        folder = bootstrap.ROOT / environment
        folder.mkdir(exist_ok=True)
        stamp = {"groups": list(groups), "digest": bootstrap.digest(environment, groups)}
        (folder / bootstrap.STAMP).write_text(bootstrap.json.dumps(stamp))


def refuse(*_arguments: object, **_options: object) -> None:
    raise AssertionError("nothing must be installed")


def test_nothing_happens_when_all_is_there(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(bootstrap, "platform", "dev", "bench")
    monkeypatch.setattr(bootstrap, "run", refuse)
    bootstrap.set_up(["platform"])
    begun = time.monotonic()
    bootstrap.set_up(["platform", "dev"])
    assert time.monotonic() - begun < 0.2


@pytest.mark.parametrize("changed", ["requirements/platform.txt", "requirements/dev.txt", "pyproject.toml"])
def test_a_changed_lock_is_noticed(bootstrap: ModuleType, changed: str) -> None:
    pretend_installed(bootstrap, "platform", "dev")
    with (bootstrap.ROOT / changed).open("a") as file:
        file.write("# changed\n")
    assert not bootstrap.is_current(".venv", ["platform"])
    assert bootstrap.is_current(".venv-airflow", ["platform"])


def test_a_new_group_is_added_to_those_installed(bootstrap: ModuleType) -> None:
    pretend_installed(bootstrap, "platform", "dev")
    assert not bootstrap.is_current(".venv-airflow", ["platform", "bench"])
    assert bootstrap.wanted_groups(".venv-airflow", ["platform", "bench"]) == ["platform", "dev", "bench"]


def test_an_environment_that_was_not_finished_is_made_again(bootstrap: ModuleType) -> None:
    pretend_installed(bootstrap, "platform")
    (bootstrap.ROOT / ".venv" / bootstrap.STAMP).write_text('{"groups"')
    assert not bootstrap.is_current(".venv", ["platform"])


def test_a_full_disk_is_told_before_anything_is_downloaded(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**12, 10**12 - 10**9, 10**9)
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _path: usage)
    monkeypatch.setattr(bootstrap, "run", refuse)
    with pytest.raises(bootstrap.SetupError, match=r"1\.0 GB are free under .* need 6 GB"):
        bootstrap.set_up(["platform"])


def test_a_failing_program_is_one_message_with_its_last_words(bootstrap: ModuleType) -> None:
    program = [sys.executable, "-c", "print('first'); print('the reason'); raise SystemExit(3)"]
    with pytest.raises(bootstrap.SetupError, match=r"(?s)label: `python.*` failed with code 3:.*the reason"):
        bootstrap.run("label", program)


def test_all_failures_of_parallel_steps_are_told(bootstrap: ModuleType) -> None:
    def fail(why: str) -> None:
        raise bootstrap.SetupError(why)

    with pytest.raises(bootstrap.SetupError, match=r"(?s)one.*two|two.*one"):
        bootstrap.in_parallel((fail, "one"), (fail, "two"))


def test_one_certificate_bundle_serves_pip_and_uv(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_CERT", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/company/bundle.pem")
    assert bootstrap.index_settings() == {"SSL_CERT_FILE": "/company/bundle.pem", "PIP_CERT": "/company/bundle.pem"}
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example.org/simple")
    assert bootstrap.index_settings()["UV_DEFAULT_INDEX"] == "https://index.example.org/simple"


@pytest.mark.parametrize(("user", "outcome"), [(0, "openjdk-17-jre-headless"), (1000, None)])
def test_a_missing_java_is_installed_by_root_and_asked_of_others(
    monkeypatch: pytest.MonkeyPatch, user: int, outcome: str | None
) -> None:
    module = load()
    monkeypatch.setattr("data_platform.local.java.find_java_home", lambda: None)
    monkeypatch.setattr(module.os, "geteuid", lambda: user)
    if outcome:
        assert module.java_is_missing() == outcome
        return
    wanted = "sudo apt-get install -y --no-install-recommends openjdk-17-jre-headless"
    with pytest.raises(module.SetupError, match=wanted):
        module.java_is_missing()


@pytest.mark.parametrize("starts", [True, False])
def test_a_java_that_is_half_set_up_will_do_if_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starts: bool
) -> None:
    module = load()
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\nexit {0 if starts else 1}\n")
    java.chmod(0o755)
    monkeypatch.setattr("data_platform.local.java.find_java_home", lambda: tmp_path)

    def fail_to_install(_label: str, command: list[str], **_environment: str) -> None:
        if "install" in command:
            raise module.SetupError("dpkg: error processing package ca-certificates-java")

    monkeypatch.setattr(module, "run", fail_to_install)
    if starts:
        module.install_java("openjdk-17-jre-headless")
        return
    with pytest.raises(module.SetupError, match="ca-certificates-java"):
        module.install_java("openjdk-17-jre-headless")
