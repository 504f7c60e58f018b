"""The user that embedded PostgreSQL runs as, because it refuses to run as root.

An ordinary user's server simply runs as that user. Root's runs as the system user ``data-platform``, who must
reach programs and data also where the checkout lies under a private home.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from data_platform.failures import PermanentFailure

SYSTEM_USER = "data-platform"
REACHABLE_ROOT = Path("/var/lib/data-platform")
ALREADY_EXISTS = 9  # exit code of useradd


def _make_system_user() -> pwd.struct_passwd:
    options = ["--system", "--user-group", "--no-create-home", f"--home-dir={REACHABLE_ROOT}"]
    command = ["useradd", *options, "--shell=/usr/sbin/nologin", SYSTEM_USER]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode not in (0, ALREADY_EXISTS):
        raise PermanentFailure(
            f"PostgreSQL refuses to run as root, and no user can be made for it: {made.stderr.strip()}",
            hint=f"run as an ordinary user, or make a user named {SYSTEM_USER}",
        )
    return pwd.getpwnam(SYSTEM_USER)


@dataclass(frozen=True)
class ServerUser:
    """Whom a program runs as; ``account`` is None when that is the present user."""

    account: pwd.struct_passwd | None

    @classmethod
    def current(cls) -> ServerUser:
        """The present user; for root the system user, made when there is none yet."""
        if os.geteuid() != 0:
            return cls(None)
        try:
            return cls(pwd.getpwnam(SYSTEM_USER))
        except KeyError:
            return cls(_make_system_user())

    def command(self, *arguments: str | Path) -> list[str]:
        """A command line that runs as this user."""
        plain = [str(argument) for argument in arguments]
        if self.account is None:
            return plain
        identity = [f"--reuid={self.account.pw_uid}", f"--regid={self.account.pw_gid}", "--clear-groups"]
        return ["setpriv", *identity, "--", *plain]

    def own(self, path: Path) -> None:
        """Gives a file to this user."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def can(self, test: str, path: Path) -> bool:
        """Whether ``test`` (-r, -x) holds for this user, whatever the folders above allow."""
        return subprocess.run(self.command("test", test, path), check=False).returncode == 0


def reachable_dir(wanted: Path, user: ServerUser) -> Path:
    """``wanted`` where ``user`` reaches it, else a place under ``/var/lib/data-platform``; makes neither."""
    if user.can("-x", wanted.parent):
        return wanted
    name = hashlib.sha256(str(wanted.absolute()).encode()).hexdigest()[:16]
    REACHABLE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    return REACHABLE_ROOT / name


def reachable_programs(source: Path, user: ServerUser) -> Path:
    """The PostgreSQL installation at ``source``, or a copy that ``user`` can run."""
    server = source / "bin" / "postgres"
    if user.can("-x", server) and user.can("-r", source / "share" / "postgresql" / "postgres.bki"):
        return source
    copy = REACHABLE_ROOT / f"{source.name}-{server.stat().st_size}"
    if not copy.exists():
        REACHABLE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=REACHABLE_ROOT, prefix="copying."))
        shutil.copytree(source, partial, dirs_exist_ok=True)
        partial.chmod(0o755)
        try:
            partial.rename(copy)
        except OSError:  # another set-up was quicker
            shutil.rmtree(partial)
    return copy
