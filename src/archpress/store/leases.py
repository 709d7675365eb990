"""Leases: who trains what just now, so that drivers that share a store do not train the same.

A lease is a row with an owner and a time at which it ends, by the database's clock, so that a wrong
clock on one of many machines harms nothing. A driver renews its leases while it trains. One that is
killed leaves leases behind; they end by themselves, and on the machine where it ran it is seen at
once that nobody is there.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from archpress.store.database import Database
from archpress.store.tables import IDENTITY, Identity, leases

LEASE_SECONDS = 120.0  # a driver whose server is away for a minute still renews in time
UNIX_EPOCH = 2440587.5  # as a Julian day


@dataclass(frozen=True, slots=True)
class Owner:
    """A driver, as another process can look for it.

    Attributes:
        host: the machine since it was started, and its space of process numbers.
        pid: number of the process.
        born: when the process began, in the system's own unit; numbers are used again.
        store: tells the stores of one process apart.
    """

    host: str
    pid: int
    born: str
    store: str

    @staticmethod
    def here() -> "Owner":
        """This process, with one more store."""
        return Owner(_host(), os.getpid(), _born(os.getpid()), uuid4().hex[:12])

    @staticmethod
    def read(text: str) -> "Owner | None":
        """The inverse of `str`; None for what is no owner."""
        match text.split(" "):
            case [host, pid, born, store] if pid.isdecimal():
                return Owner(host, int(pid), born, store)
        return None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.born} {self.store}"

    @property
    def is_gone(self) -> bool:
        """Whether it is known that it has ended; of another machine nothing is known."""
        return self.host == _host() and _born(self.pid) != self.born


class Leases:
    """The leases of one store, for one owner.

    Args:
        database: of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner: Owner | None = None
        self._has_table = False

    @property
    def owner(self) -> str:
        """This store in this process; a fork of it is another owner."""
        if self._owner is None or self._owner.pid != os.getpid():
            self._owner = Owner.here()
        return str(self._owner)

    def take(self, wanted: Sequence[Identity]) -> set[Identity]:
        """Take what nobody else holds.

        Returns:
            Those that are held by this owner now.
        """
        if self._database.is_private:
            return {*wanted}
        if self._has_table and not self._database.run("read", lambda c: self._any_free(c, wanted)):
            return set()  # a look keeps no writer waiting
        return self._database.run("lease trials in", lambda c: self._take(c, wanted), writes=True)

    def renew(self) -> None:
        """Put off the end of all leases of this owner."""
        if self._database.is_private:
            return

        def renewed(connection: Connection) -> None:
            mine = leases.c.owner == self.owner
            connection.execute(
                sql.update(leases).where(mine).values(expires=_now(connection) + LEASE_SECONDS)
            )

        self._database.run("renew leases in", renewed, writes=True)

    def give_back(self, held: Sequence[Identity]) -> None:
        """End leases of this owner."""
        if self._database.is_private or not held:
            return

        self._database.run("end leases in", lambda c: self.end_all(c, sorted(held)), writes=True)

    def end_all(self, connection: Connection, identities: Sequence[Identity]) -> None:
        """End those leases that this owner holds, as part of a transaction."""
        if self._has_table and identities:
            named = [leases.c[name] == sql.bindparam(f"its_{name}") for name in IDENTITY]
            ended = sql.delete(leases).where(leases.c.owner == self.owner, *named)
            names = [f"its_{name}" for name in IDENTITY]
            rows = [dict(zip(names, identity, strict=True)) for identity in identities]
            connection.execute(ended, rows)

    def _any_free(self, connection: Connection, wanted: Sequence[Identity]) -> bool:
        held = sql.select(leases).where(leases.c.expires > _now(connection))
        rows = connection.execute(held.where(_of_data(wanted))).all()
        gone = {self.owner, *self._gone([row.owner for row in rows])}
        taken = {(row.key, row.data, row.recipe, row.seed) for row in rows if row.owner not in gone}
        return any(identity not in taken for identity in wanted)

    def _take(self, connection: Connection, wanted: Sequence[Identity]) -> set[Identity]:
        self._make_table(connection)
        owners = connection.scalars(sql.select(leases.c.owner).where(_of_data(wanted)).distinct())
        free = [self.owner, *self._gone(list(owners))]
        now = connection.execute(sql.select(_now(connection))).scalar_one()
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        new = {"owner": self.owner, "expires": now + LEASE_SECONDS}
        statement = insert(leases).on_conflict_do_update(
            index_elements=list(IDENTITY),
            set_=new,
            where=sql.or_(leases.c.expires <= now, *(leases.c.owner == one for one in free)),
        )
        rows = [  # in one order for all, so that none waits in a circle
            {**dict(zip(IDENTITY, identity, strict=True)), **new} for identity in sorted(wanted)
        ]
        connection.execute(statement, rows)
        mine = sql.select(*(leases.c[name] for name in IDENTITY)).where(
            leases.c.owner == self.owner
        )
        return {*wanted} & {tuple(row) for row in connection.execute(mine)}

    def _make_table(self, connection: Connection) -> None:
        """Where it is missing: stores did without it before there were leases."""
        if not self._has_table and not sql.inspect(connection).has_table(leases.name):
            self._database.lock_creation(connection)
            leases.create(connection, checkfirst=True)
        self._has_table = True

    def _gone(self, owners: Sequence[str]) -> list[str]:
        read = {text: Owner.read(text) for text in owners if text != self.owner}
        return [text for text, owner in read.items() if owner is not None and owner.is_gone]


def _of_data(wanted: Sequence[Identity]) -> sql.ColumnElement[bool]:
    """A condition that holds for all of them and few others; keys alone would be many."""
    groups = {identity[1:] for identity in wanted}
    return sql.or_(
        sql.false(),
        *(
            sql.and_(leases.c.data == data, leases.c.recipe == recipe, leases.c.seed == seed)
            for data, recipe, seed in groups
        ),
    )


def _now(connection: Connection) -> sql.ColumnElement[float]:
    """Seconds, by the database's clock."""
    if connection.dialect.name == "sqlite":
        days = sql.cast(sql.func.julianday("now"), sql.Double)
        return (days - UNIX_EPOCH) * 86400.0
    return sql.cast(sql.extract("epoch", sql.func.clock_timestamp()), sql.Double)


def _host() -> str:
    boot = spaces = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        spaces = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    name = "".join(c if c.isalnum() or c in "-._" else "-" for c in socket.gethostname()[:60])
    return "/".join((name, boot, spaces))


def _born(pid: int) -> str:
    """When a process began, in clock ticks since the machine's start; "" where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _is_there(pid)
    return "" if fields[0] in "ZX" else fields[19]  # a zombie has ended


def _is_there(pid: int) -> str:
    """Where the system has no /proc, a process number is all that is known of a process."""
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "unknown"
