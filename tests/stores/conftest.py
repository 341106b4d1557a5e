"""Real servers of Redis and PostgreSQL, each with its own folder, ended with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

PASSWORD = "gehe1m"
START_S = 30


class RedisServer:
    """redis-server on a free port of loopback, with a log of its writes; starts again in the same folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.name = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "appendonly": "yes", "save": ""}
        options |= {"appendfsync": "always", "requirepass": PASSWORD, "logfile": self.folder / "redis.log"}
        command = [self.program, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            _until(client.ping, redis.RedisError)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


class PostgresServer:
    """PostgreSQL as an ordinary user, on a Unix socket only; starts again in the same folder."""

    def __init__(self, initdb: str, folder: Path) -> None:
        # PostgreSQL refuses to run as root; its Debian package brings a user.
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder, self.programs = folder, Path(initdb).resolve().parent
        if self.user:
            shutil.chown(folder, self.user)
        command = [initdb, "-D", f"{folder}/data", "-U", "earthloom", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            command, user=self.user, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, cwd=folder
        )
        assert done.returncode == 0, done.stderr
        self.url = f"postgresql://earthloom:{PASSWORD}@/postgres?host={folder}"
        self.name = "postgresql:///postgres"
        self.start()

    def start(self) -> None:
        command = [str(self.programs / "postgres"), "-D", f"{self.folder}/data", "-k", str(self.folder)]
        command += ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "unix_socket_permissions=0777"]
        with (self.folder / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, user=self.user, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        _until(lambda: psycopg.connect(self.url).close(), psycopg.Error)

    def signal(self, number: signal.Signals) -> None:
        # Its connections are processes of its own, each in a group of its own.
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            os.kill(pid, number)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # PostgreSQL's way to end at once, as after a crash
        self.process.wait(20)

    def empty(self) -> None:
        with psycopg.connect(self.url) as db:
            db.execute("drop table if exists earthloom_chain")
        db.close()


def _until(call: Callable[[], object], fails: type[Exception]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            call()
            return
        except fails:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@pytest.fixture(scope="session")
def redis_server(need: Callable[[str], str]) -> Iterator[RedisServer]:
    program = need("redis-server")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(program, Path(folder))
        yield server
        server.kill()


@pytest.fixture(scope="session")
def postgres_server(need: Callable[[str], str]) -> Iterator[PostgresServer]:
    initdb = need("postgresql")
    # Not below pytest's folder, which is closed to other users, and too long for the name of a socket.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = PostgresServer(initdb, Path(folder))
        yield server
        server.kill()
