"""The tables of a ledger: its entries, its signed heads, and the state that entries speak of.

Every table is append-only by trigger, in SQLite and in PostgreSQL. Times are UTC as ISO 8601 text,
hashes are bytes, and no id is made by the database: the same rows mean the same in either.

Does not see: whoever owns the database and drops a trigger first. A trigger is a speed bump; the
signed tree is the control, and `Ledger.verify` holds all rows to it.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from governance.errors import Tampered

SAYS = "the ledger is append-only"
VERBS = {"sqlite": ("UPDATE", "DELETE"), "postgresql": ("UPDATE", "DELETE", "TRUNCATE")}

TABLES = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # STRICT tables know INTEGER only

entries = sa.Table(
    "entries", TABLES,
    sa.Column("number", Number, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    # The hashes of the perfect subtrees which this leaf completes, lowest first, 32 bytes each:
    # any node of the tree is in one row, so any proof needs O(log n) of them.
    sa.Column("nodes", sa.LargeBinary, nullable=False),
    sa.Index(None, "kind", "number"),
    sqlite_strict=True,
)  # fmt: skip
heads = sa.Table(
    "heads", TABLES,
    sa.Column("size", Number, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sqlite_strict=True,
)  # fmt: skip
cosignatures = sa.Table(
    "cosignatures", TABLES,
    sa.Column("size", Number, sa.ForeignKey(heads.c.size), primary_key=True, autoincrement=False),
    sa.Column("witness", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
    sqlite_strict=True,
)  # fmt: skip
spent = sa.Table(
    "spent", TABLES,
    sa.Column("clearance", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, unique=True),
    sqlite_strict=True,
)  # fmt: skip

PARTIES = ("id", "requester", "requester_key", "owner", "owner_key")
# Waivers. People are salted tags. Whoever verifies trusts no row here: these constraints stop the
# honest mistake and the race; `waiving.approvals` derives everything from signatures again.
waivers = sa.Table(
    "waivers", TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("requester", sa.Text, nullable=False),
    sa.Column("requester_key", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("owner_key", sa.Text, nullable=False),
    sa.Column("quorum", Number, nullable=False),
    sa.UniqueConstraint(*PARTIES, name="uq_waivers_parties"),
    sa.CheckConstraint("quorum >= 1", name="quorum"),
    sqlite_strict=True,
)  # fmt: skip
approvals = sa.Table(
    "approvals", TABLES,
    sa.Column("waiver", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("keyid", sa.Text, nullable=False),
    sa.Column("requester", sa.Text, nullable=False),
    sa.Column("requester_key", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("owner_key", sa.Text, nullable=False),
    sa.UniqueConstraint("waiver", "keyid"),
    sa.ForeignKeyConstraint(
        ["waiver", *PARTIES[1:]],
        [f"waivers.{column}" for column in PARTIES],
        name="fk_approvals_parties",
    ),
    sa.CheckConstraint("person <> requester", name="not_the_requester"),
    sa.CheckConstraint("person <> owner", name="not_the_owner"),
    sa.CheckConstraint("keyid <> requester_key", name="not_the_requesters_key"),
    sa.CheckConstraint("keyid <> owner_key", name="not_the_owners_key"),
    sqlite_strict=True,
)  # fmt: skip
waiver_ends = sa.Table(
    "waiver_ends", TABLES,
    sa.Column("waiver", sa.Text, sa.ForeignKey("waivers.id"), primary_key=True),
    sa.Column("how", sa.Text, nullable=False),
    sa.CheckConstraint("how IN ('rejected', 'revoked')", name="how"),
    sqlite_strict=True,
)  # fmt: skip


def missing(connection: sa.Connection) -> list[sa.Table]:
    """Return the tables that this database does not have yet, in the order to make them."""
    # Each act asks this, so it is one plain query, and not what `sa.inspect` would look through.
    there = set(connection.exec_driver_sql(_THERE[connection.dialect.name]).scalars())
    return [table for table in TABLES.sorted_tables if table.name not in there]


def make_missing(connection: sa.Connection) -> None:
    """Make the tables that are not there yet, each with the triggers that forbid changing it."""
    for table in missing(connection):
        table.create(connection)
        for sentence in guards(table, connection.dialect.name).values():
            connection.exec_driver_sql(sentence)


def guards(table: sa.Table, dialect: str) -> dict[str, str]:
    """Return the triggers of a table: name to the SQL that makes it."""
    if dialect == "postgresql":
        return dict(_postgresql_guards(table.name))
    return dict(_sqlite_guards(table))


def check_guards(connection: sa.Connection) -> None:
    """Raise Tampered when a trigger that keeps a table append-only is gone, changed or off."""
    dialect = connection.dialect.name
    wanted = {name: sql for t in TABLES.sorted_tables for name, sql in guards(t, dialect).items()}
    found = {row.name: row.made for row in connection.exec_driver_sql(_GUARDS[dialect])}
    for name, sql in wanted.items():
        if found.get(name) != sql:
            raise Tampered(
                f"The trigger {name}, which keeps the ledger append-only, is gone or was changed. "
                "Find out who did so, and restore the ledger from a copy."
            )


_THERE = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
    "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())",
}
_FUNCTION = "CREATE OR REPLACE FUNCTION pramana_append_only() RETURNS trigger LANGUAGE plpgsql AS "
_BODY = f"BEGIN RAISE EXCEPTION '{SAYS}' USING ERRCODE = 'restrict_violation'; END"
_GUARDS = {  # the triggers that are on, each as the SQL that makes it
    "sqlite": "SELECT name, sql AS made FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": f"SELECT tgname AS name, '{_FUNCTION}$$' || prosrc || '$$; ' || "  # noqa: S608
    "pg_get_triggerdef(pg_trigger.oid, true) AS made "
    "FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
    "WHERE tgenabled = 'O' AND pg_table_is_visible(tgrelid)",
}


def _sqlite_guards(table: sa.Table) -> Iterator[tuple[str, str]]:
    abort = f"BEGIN SELECT RAISE(ABORT, '{SAYS}'); END"
    for verb in VERBS["sqlite"]:
        name = f"{table.name}_no_{verb.lower()}"
        yield name, f"CREATE TRIGGER {name} BEFORE {verb} ON {table.name} {abort}"
    # INSERT OR REPLACE deletes the row in its way without asking the DELETE trigger.
    name, same = f"{table.name}_no_replace", " OR ".join(_same_keys(table))
    when = f"WHEN EXISTS (SELECT 1 FROM {table.name} WHERE {same})"  # noqa: S608  our own names
    yield name, f"CREATE TRIGGER {name} BEFORE INSERT ON {table.name} {when} {abort}"


def _same_keys(table: sa.Table) -> Iterator[str]:
    """Yield the SQL conditions under which a new row has a key of a row that is there."""
    keys = sorted(
        sorted(column.name for column in found.columns)
        for found in table.constraints
        if isinstance(found, (sa.PrimaryKeyConstraint, sa.UniqueConstraint))
    )
    for key in keys:
        yield "(" + " AND ".join(f"{column} = NEW.{column}" for column in key) + ")"


def _postgresql_guards(table: str) -> Iterator[tuple[str, str]]:
    for verb in VERBS["postgresql"]:
        name = f"{table}_no_{verb.lower()}"
        trigger = f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH STATEMENT"
        made = f"{trigger} EXECUTE FUNCTION pramana_append_only()"
        yield name, f"{_FUNCTION}$${_BODY}$$; {made}"
