"""A PostgreSQL server of our own, where its programs are installed."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

PASSWORD = "p@ss/w%rd"  # with all that a URL must write in another way
QUOTED = "p%40ss%2Fw%25rd"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql*/bin")]
    found = shutil.which("pg_ctl")
    places += [Path(found).parent] if found else []
    return next(
        (place for place in sorted(places, reverse=True) if (place / "initdb").exists()), None
    )


class Server:
    """A cluster in a temporary folder; it refuses to run as root, so then as user postgres."""

    def __init__(self, bin_folder: Path, folder: Path) -> None:
        self.bin, self.folder = bin_folder, folder
        self.port = free_port()
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.as_user:
            shutil.chown(folder, "postgres")
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self.do("initdb", "-A", "scram-sha-256", "-U", "me", f"--pwfile={password}", "-N")

    def do(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.bin / program), "-D", str(self.folder / "d"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == 0, done.stderr + done.stdout

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = str(self.folder / "log")
        self.do("pg_ctl", "-w", "-o", options, "-l", log, "start")

    def stop(self) -> None:
        self.do("pg_ctl", "-w", "-m", "fast", "stop")

    def url(self, database: str, password: str = QUOTED) -> str:
        return f"postgresql+psycopg://me:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of one that is empty."""
        import psycopg

        name = f"t{secrets.token_hex(6)}"
        where = {"host": "127.0.0.1", "port": self.port, "user": "me", "password": PASSWORD}
        with psycopg.connect(dbname="postgres", autocommit=True, **where) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="session")
def server():
    pytest.importorskip("psycopg", reason="needs pip install 'archpress[postgres]'")
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("needs the programs of a PostgreSQL server: initdb and pg_ctl")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("a PostgreSQL server does not run as root, and there is no runuser")
    folder = Path(tempfile.mkdtemp(prefix="archpress-pg-"))
    server = Server(bin_folder, folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def postgres(server) -> str:
    """The URL of an empty database."""
    return server.new_database()
