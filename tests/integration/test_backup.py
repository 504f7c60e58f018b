"""Backup and restore: one state of a platform at work, into an empty second place, compared by checksums."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from data_platform import orchestrate
from data_platform.cli.main import build_app
from data_platform.failures import InputError, PermanentFailure, TransientFailure
from data_platform.intervals import ONE_DAY, Interval
from data_platform.local import backup, lake_copy
from data_platform.local.backup import SECRETS, Backup, back_up, list_backups
from data_platform.local.backup_manifest import NAME
from data_platform.local.graph import Listener
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.restore import CUT_OFF, MARK, restore
from data_platform.local.secrets import pick_port
from data_platform.local.up import up
from data_platform.staleness import Stale
from data_platform.warehouse.connection import execute, open_connection, query, transaction
from data_platform.warehouse.migrate import read_migrations
from sample_company.small import land_small_shop
from tests.conftest import PASSWORD, SPARK, Platform, forget_settings, make_platform
from tests.state import Rows, published_and_online, stale

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("spark_server")]
START, DAYS = date(1998, 1, 5), 8
END = START + DAYS * ONE_DAY
KEPT = ("PRIVACY_HASH_KEY", "QUARANTINE_KEY", "VAULT_KEY", "BUSINESS_DATE_OFFSET_DAYS")
FERNET_KEY = "only-in-tests-too"
OTHERS = {"SAMPLE_COMPANY": "false", "AIRFLOW_FERNET_KEY": FERNET_KEY, "AIRFLOW_DATABASE_PASSWORD": PASSWORD}
DIES = """
import os, signal, sys
from pathlib import Path
from threading import Event, Thread
from data_platform.local.graph import Listener

class Dies(Listener):
    def started(self, name):
        if name == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "backup":
    from data_platform.local.backup import back_up
    back_up(Path(sys.argv[2]), listener=Dies())
else:
    from data_platform.local.restore import restore
    restore(Path(sys.argv[2]), listener=Dies())
"""


class AtPart(Listener):
    """Does something when a part of the work begins."""

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        self._name, self._action = name, action

    def started(self, name: str) -> None:
        if name == self._name:
            self._action()


@dataclass(frozen=True)
class Kept:
    """A shop with a backup: what was published and stale at its snapshot, and what the night after it published."""

    shop: Platform
    backup: Backup
    published: dict[str, Rows]
    stale: list[Stale]
    night: dict[str, Rows]


@pytest.fixture(scope="module")
def kept(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """A small shop whose backup is taken while somebody writes all the time; a night runs between snapshot and lake."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OTHERS.items():
            patch.setenv(name, value)
        for shop in make_platform(postgres, tmp_path_factory.mktemp("shop"), patch, today=END):
            land_small_shop(shop.landing, customers=20, days=DAYS, start=START)
            orchestrate.run_all(Interval(START, END))
            with transaction() as connection:
                at_work = "insert into ops.runs (run_id, kind, through_day) values ('at_work', 'run', %s)"
                execute(connection, at_work, (START,))
            correct(shop, START, "7.77")
            published, nothing_known_yet = published_and_online(), stale()
            with writing():
                backup = back_up(listener=AtPart("lake", lambda: orchestrate.run_all(None)))
            yield Kept(shop, backup, published, nothing_known_yet, night=published_and_online())


def correct(shop: Platform, day: date, amount: str) -> None:
    """The shop delivers a day anew, with one purchase more."""
    file = shop.landing / "shop" / "purchases" / f"{day}.txt"
    file.write_bytes(file.read_bytes() + f" 00001 {day:%Y%m%d}  1   {amount}\r\n".encode())


@contextmanager
def writing() -> Iterator[None]:
    """Somebody commits a row all the time, and a run's schema comes and goes."""
    ended = Event()

    def write() -> None:
        with closing(open_connection()) as connection:
            connection.autocommit = True
            execute(connection, "create table public.counted (n int)")
            while not ended.is_set():
                execute(connection, "insert into public.counted values (1)")
                execute(connection, "create schema run_beside create table built (n int)")
                execute(connection, "drop schema run_beside cascade")

    thread = Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Elsewhere:
    """A second machine, as far as settings tell: other folders, another server, no set-up yet."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch, old: Platform) -> None:
        self.state, self.env_file = home / "state", home / "env"
        for name in (*old.environment, *OTHERS):
            patch.delenv(name, raising=False)
        own = {"STATE_DIR": str(self.state), "DP_ENV_FILE": str(self.env_file), "POSTGRES_PORT": str(pick_port())}
        own["PROJECT_ROOT"] = old.environment["PROJECT_ROOT"]
        for name, value in {**SPARK, **own}.items():
            patch.setenv(name, value)
        forget_settings()

    def keep(self, shop: Platform, **other: str) -> None:
        """Puts what was kept of the old machine's settings in place."""
        kept = {name: shop.environment[name] for name in KEPT} | OTHERS | other
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
        forget_settings()


@pytest.fixture
def elsewhere_later(kept: Kept, tmp_path: Path) -> Iterator[Callable[[], Elsewhere]]:
    """Goes to a second machine when it is called."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            yield lambda: Elsewhere(tmp_path, patch, kept.shop)
        finally:
            server = EmbeddedPostgres(tmp_path / "state" / "postgres", pick_port(), SecretStr(""))
            server.stop()
            server.remove()
    forget_settings()


@pytest.fixture
def elsewhere(elsewhere_later: Callable[[], Elsewhere]) -> Elsewhere:
    return elsewhere_later()


@pytest.fixture
def copied(kept: Kept, tmp_path: Path) -> Path:
    """A copy of the backup, to be spoiled."""
    return Path(shutil.copytree(kept.backup.path, tmp_path / "copied"))


def killed(what: str, folder: Path, part: str) -> None:
    """Kills a backup or a restore when a part of it begins."""
    done = subprocess.run([sys.executable, "-c", DIES, what, folder, part], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_restored_platform_is_as_of_the_snapshot_and_goes_on(kept: Kept, elsewhere: Elsewhere) -> None:
    elsewhere.keep(kept.shop)
    assert restore(kept.backup.path).migrations == ()
    assert published_and_online() == kept.published
    assert stale() == kept.stale
    with transaction() as connection:
        (cut_off,) = query(connection, "select state, failure from ops.runs where run_id = 'at_work'")
    assert cut_off == {"state": "failed", "failure": CUT_OFF}
    assert kept.published != kept.night
    orchestrate.run_all(None)
    assert published_and_online() == kept.night
    assert stale() == []


def test_a_restore_that_is_killed_anywhere_ends_right_when_it_is_run_again(kept: Kept, elsewhere: Elsewhere) -> None:
    elsewhere.keep(kept.shop)
    migrated, came_later = (
        elsewhere.state / "airflow" / "migrated",
        elsewhere.state / "landing" / "shop" / "manifest.jsonl",
    )
    for note in (migrated, came_later):
        note.parent.mkdir(parents=True)
        note.write_text("of this place")
    for part in ("lake", "feast", "warehouse", "migrations"):
        killed("restore", kept.backup.path, part)
        with pytest.raises(PermanentFailure, match="was cut off"):
            up()
    with closing(open_connection()) as left_behind:
        query(left_behind, "select from ops.files")
        restore(kept.backup.path)
    assert published_and_online() == kept.published
    assert not (elsewhere.state / MARK).exists()
    assert not migrated.exists(), "Airflow's database is migrated anew"
    assert came_later.read_text() == "of this place"


def test_what_was_published_into_half_a_restore_is_not_lost(kept: Kept, elsewhere: Elsewhere) -> None:
    elsewhere.keep(kept.shop)
    killed("restore", kept.backup.path, "migrations")
    with transaction() as connection:
        execute(connection, "update ops.publications set published_at = clock_timestamp()")
    with pytest.raises(PermanentFailure, match="holds publications, the last is 1"):
        restore(kept.backup.path)


def test_another_backup_does_not_go_on_with_half_a_restore(kept: Kept, elsewhere: Elsewhere, copied: Path) -> None:
    elsewhere.keep(kept.shop)
    killed("restore", kept.backup.path, "lake")
    respell(copied, publication_id=99)
    with pytest.raises(PermanentFailure, match=f"a restore from {kept.backup.path} was cut off"):
        restore(copied)


@pytest.mark.parametrize("name", [*KEPT, "AIRFLOW_FERNET_KEY"])
def test_other_keys_or_another_clock_are_refused_before_anything_is_written(
    kept: Kept, elsewhere: Elsewhere, name: str
) -> None:
    elsewhere.keep(kept.shop, **{name: "11" * 32 if name != "BUSINESS_DATE_OFFSET_DAYS" else "5"})
    before = elsewhere.env_file.read_text()
    with pytest.raises(InputError, match=f"was made with: {name}") as refusal:
        restore(kept.backup.path)
    assert "11" * 32 not in str(refusal.value)
    assert elsewhere.env_file.read_text() == before
    assert not elsewhere.state.exists()


def test_without_any_settings_the_keys_are_missed(kept: Kept, elsewhere: Elsewhere) -> None:
    with pytest.raises(
        InputError, match="PRIVACY_HASH_KEY, QUARANTINE_KEY, VAULT_KEY, AIRFLOW_FERNET_KEY, BUSINESS_DATE"
    ):
        restore(kept.backup.path)
    assert not elsewhere.env_file.exists()


@pytest.mark.parametrize("name", ["databases/warehouse.dump", f"lake/bronze/purchases/_delta_log/{0:020d}.json"])
def test_a_file_that_was_changed_or_is_missing_is_found_before_anything_is_written(
    kept: Kept, elsewhere: Elsewhere, copied: Path, name: str
) -> None:
    elsewhere.keep(kept.shop)
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(PermanentFailure, match=f"is damaged: {name} was changed"):
        restore(copied)
    (copied / name).unlink()
    with pytest.raises(PermanentFailure, match=f"is damaged: {name} is missing"):
        restore(copied)
    assert not elsewhere.state.exists()


@pytest.mark.parametrize("name", ["landing/../../env", "/etc/cron.d/backup"])
def test_a_manifest_that_leads_outside_is_refused(kept: Kept, copied: Path, name: str) -> None:
    respell(copied, files={name: {"size_bytes": 1, "sha256": "00"}})
    with pytest.raises(InputError, match=f"{name} leads outside the backup"):
        restore(copied)


def test_a_backup_of_a_newer_platform_is_refused(kept: Kept, elsewhere: Elsewhere, copied: Path) -> None:
    elsewhere.keep(kept.shop)
    number = len(read_migrations()) + 1
    later = {"number": number, "name": "of_tomorrow", "sha256": "00"}
    respell(copied, migrations=[*json.loads((copied / NAME).read_text())["migrations"], later])
    with pytest.raises(
        PermanentFailure, match=f"newer than this checkout, which does not know {number:04d}_of_tomorrow"
    ):
        restore(copied)
    assert not elsewhere.state.exists()


def test_what_differs_after_the_restore_is_named(kept: Kept, elsewhere: Elsewhere, copied: Path) -> None:
    elsewhere.keep(kept.shop)
    databases = json.loads((copied / NAME).read_text())["databases"]
    databases["warehouse"]["raw.purchases"]["rows"] += 1
    respell(copied, databases=databases)
    with pytest.raises(PermanentFailure, match=r"restored, raw\.purchases of warehouse differ"):
        restore(copied)


def test_nothing_that_is_there_is_replaced(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = published_and_online()
    with pytest.raises(PermanentFailure, match="has tables: a backup is restored into an empty place only"):
        restore(kept.backup.path)
    monkeypatch.setenv("LAKE_URL", str(tmp_path / "lake"))
    forget_settings()
    with pytest.raises(
        PermanentFailure, match="holds publications, the last is 2: a backup is restored into an empty place only"
    ):
        restore(kept.backup.path)
    assert published_and_online() == before
    monkeypatch.undo()
    forget_settings()


def test_a_killed_backup_is_never_taken_for_one(kept: Kept, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    killed("backup", folder / "19980113T020000Z", "lake")
    assert [path.name for path in folder.iterdir()] == ["19980113T020000Z.part"]
    assert list_backups(folder) == []
    with pytest.raises(InputError, match="is not a complete backup"):
        restore(folder / "19980113T020000Z.part")
    again = back_up(folder / "19980114T020000Z")
    assert [path.name for path in folder.iterdir()] == ["19980114T020000Z"]
    assert [b.path for b in list_backups(folder)] == [again.path]
    with pytest.raises(InputError, match="is there already"):
        back_up(again.path)


def test_only_one_backup_is_taken_at_a_time(kept: Kept, tmp_path: Path) -> None:
    def another() -> None:
        with pytest.raises(TransientFailure, match="another backup is being taken"):
            back_up(tmp_path / "second")
        tried.append(True)

    tried: list[bool] = []
    back_up(tmp_path / "first", listener=AtPart("lake", another))
    assert tried
    assert not (tmp_path / "second.part").exists()


def test_a_delivery_that_is_being_written_waits_for_the_next_backup(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving = kept.shop.landing / "shop" / "arriving"
    arriving.write_bytes(b"the first half")

    def copy_while_it_grows(*places: Any) -> Any:
        copied = lake_copy.copy(*places)
        with arriving.open("ab") as stream:
            stream.write(b", and more")
        return copied

    with monkeypatch.context() as patch:
        patch.setattr(backup, "copy", copy_while_it_grows)
        first = back_up(tmp_path / "first")
    second = back_up(tmp_path / "second")
    arriving.unlink()
    assert second.manifest.files.keys() - first.manifest.files.keys() == {"landing/shop/arriving"}
    assert not (first.path / "landing" / "shop" / "arriving").exists()


def test_a_backup_holds_no_secret_unless_told_to(kept: Kept) -> None:
    content = [path.read_bytes() for path in kept.backup.path.rglob("*") if path.is_file()]
    for name, value in (kept.shop.environment | OTHERS).items():
        if name.endswith("_KEY") or "PASSWORD" in name:
            assert not any(value.encode() in text for text in content), name
    assert kept.backup.path.stat().st_mode & 0o077 == 0


def test_the_commands_tell_what_they_did(kept: Kept, tmp_path: Path, elsewhere_later: Callable[[], Elsewhere]) -> None:
    folder = tmp_path / "backups"
    made = said("backup", "--to", str(folder / "one"), "--with-secrets", "--without-landing", "--json")
    assert (made["publication_id"], made["path"]) == (2, str(folder / "one"))
    assert said("backup", "list", str(folder), "--json") == [made]
    assert said("backup", "verify", str(folder / "one"), "--json") == made
    assert (folder / "one" / SECRETS).stat().st_mode & 0o777 == 0o600
    place = elsewhere_later()
    assert said("restore", str(folder / "one"), "--json")["migrations"] == []
    assert published_and_online() == kept.night, "the keys that came with it were taken"
    assert not (place.state / "landing").exists()


def said(*arguments: str) -> Any:
    """What a command prints as JSON."""
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def respell(backup: Path, **parts: object) -> None:
    """Changes parts of a backup's manifest."""
    manifest = json.loads((backup / NAME).read_text())
    (backup / NAME).write_text(json.dumps(manifest | parts))
