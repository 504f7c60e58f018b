"""A Java is found by what it says of itself; one that Spark does not run on is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.local import java


def install(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Java but those that a test installs."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(java, "JVM_DIR", tmp_path / "jvm")


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("21.0.2", 21), ("25", 25), ("1.8.0_402", 1)])
def test_the_release_file_tells_the_version(tmp_path: Path, version: str, major: int) -> None:
    assert java.java_version(install(tmp_path / "java", version)) == major


def test_none_is_found_where_there_is_none(tmp_path: Path) -> None:
    assert java.find_java_home() is None
    assert java.java_version(tmp_path) is None


def test_an_unfit_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(install(tmp_path / "java-25", "25")))
    assert java.find_java_home() is None
    fit = install(tmp_path / "jvm" / "java-17", "17.0.1")
    assert java.find_java_home() == fit


def test_java_home_comes_first_then_the_path_then_debians(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debians = install(tmp_path / "jvm" / "java-17", "17.0.1")
    assert java.find_java_home() == debians
    on_path = install(tmp_path / "other", "21.0.1")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "java").symlink_to(on_path / "bin" / "java")
    assert java.find_java_home() == on_path
    chosen = install(tmp_path / "chosen", "17.0.2")
    monkeypatch.setenv("JAVA_HOME", str(chosen))
    assert java.find_java_home() == chosen


def test_a_folder_without_a_program_is_not_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = install(tmp_path / "broken", "17.0.1")
    (home / "bin" / "java").unlink()
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find_java_home() is None
