"""What somebody with all rights on a ledger's database may do, and what gives it away.

Triggers are off while it is done, and on again afterwards.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from governance.errors import EvidenceMissing, Tampered
from governance.trail import merkle, tables
from governance.trail.database import Database
from governance.trail.ledger import Entry, Ledger, copy
from governance.trail.note import Checkpoint, open_note, sign_note

entries, heads, spent = tables.entries, tables.heads, tables.spent
at, under = entries.c.number, heads.c.size


def _leaf(connection: sa.Connection, number: int) -> bytes:
    return connection.execute(sa.select(entries.c.leaf).where(at == number)).scalar_one()


def _edit(connection: sa.Connection, which: int, **values: object) -> None:
    connection.execute(entries.update().where(at == which).values(**values))


def _edit_leaf(connection: sa.Connection) -> None:
    _edit(connection, 1, leaf=_leaf(connection, 1).replace(b"test", b"tset"))


def _edit_leaf_and_nodes(connection: sa.Connection) -> None:
    """As whoever knows the tree, but holds no key."""
    leaf = _leaf(connection, 6).replace(b":2}", b":3}")
    _edit(connection, 6, leaf=leaf, nodes=merkle.leaf_hash(leaf))


def _edit_all_but_the_signature(connection: sa.Connection) -> None:
    """Rewrite the last act with its row, its nodes and the text of its head."""
    leaf = _leaf(connection, 7).replace(b'"run":"run"', b'"run":"own"')
    tree = merkle.Tree.of([*(_leaf(connection, number) for number in range(7)), leaf])
    nodes = b"".join(tree.node(level, (8 >> level) - 1) for level in range(4))
    _edit(connection, 7, leaf=leaf, nodes=nodes)
    note = connection.execute(sa.select(heads.c.note).where(under == 8)).scalar_one()
    text, signature = note.split("\n\n")
    forged = replace(Checkpoint.parse(f"{text}\n"), root=tree.root()).text()
    connection.execute(heads.update().where(under == 8).values(note=f"{forged}\n{signature}"))
    connection.execute(spent.update().values(run="own"))


def _swap(connection: sa.Connection) -> None:
    for old, new in ((1, 99), (2, 1), (99, 2)):
        _edit(connection, old, number=new)


def _another_note(connection: sa.Connection) -> None:
    other = sa.select(heads.c.note).where(under == 1).scalar_subquery()
    connection.execute(heads.update().where(under == 2).values(note=other))


def _cut(connection: sa.Connection, size: int, *tables_: sa.Table) -> None:
    connection.execute(tables.cosignatures.delete())
    if entries in tables_:
        connection.execute(entries.delete().where(at >= size))
    if heads in tables_:
        connection.execute(heads.delete().where(under > size))


def _insert_entry(connection: sa.Connection) -> None:
    """As whoever appends without a key."""
    leaf = _leaf(connection, 7).replace(b'"number":7}', b'"number":8}')
    nodes = merkle.leaf_hash(leaf)
    connection.execute(
        entries.insert().values(number=8, kind="clearance.spent", leaf=leaf, nodes=nodes)
    )


ATTACKS: dict[str, tuple[str, Callable[[sa.Connection], object]]] = {
    "leaf": ("entry 1 is not", _edit_leaf),
    "leaf and nodes": ("checkpoint of size 7 is not of these", _edit_leaf_and_nodes),
    "all but the signature": ("signature", _edit_all_but_the_signature),
    "nodes": ("entry 3 is not", lambda c: _edit(c, 3, nodes=b"\0" * 96)),
    "nodes cut": ("entry 3 is not", lambda c: _edit(c, 3, nodes=b"")),
    "kind": ("entry 2 is not", lambda c: _edit(c, 2, kind="clearance.spent")),
    "head of another size": ("checkpoint of size 2 is not of these", _another_note),
    "head emptied": (
        "checkpoint of size 4 is not of these",
        lambda c: c.execute(heads.update().where(under == 4).values(note="")),
    ),
    "head moved": (
        "checkpoint of size 6 is not of these",
        lambda c: c.execute(heads.update().where(under == 4).values(size=6)),
    ),
    "entry deleted": ("entry 1 is not", lambda c: c.execute(entries.delete().where(at == 1))),
    "entries swapped": ("entry 1 is not", _swap),
    "entry added": ("do not match", _insert_entry),
    "numbers with a gap": ("entry 7 is not", lambda c: _edit(c, 7, number=8)),
    "end cut off": ("do not match", lambda c: _cut(c, 7, entries)),
    "newest head cut off": ("do not match", lambda c: _cut(c, 7, heads)),
    "all heads deleted": ("do not match", lambda c: _cut(c, 0, heads)),
    "end and its head cut off": ("used clearances differs", lambda c: _cut(c, 7, entries, heads)),
    "spent clearance forgotten": ("used clearances differs", lambda c: c.execute(spent.delete())),
    "spent clearance renamed": (
        "used clearances differs",
        lambda c: c.execute(spent.update().values(clearance="d" * 64)),
    ),
    "spent clearance added": (
        "used clearances differs",
        lambda c: c.execute(spent.insert().values(clearance="d" * 64, run="own")),
    ),
}


def _drop(trigger: str, table: sa.Table, connection: sa.Connection) -> str:
    """Return the SQL that drops a trigger, which belongs to its table in PostgreSQL only."""
    where = f" ON {table.name}" if connection.dialect.name == "postgresql" else ""
    return f"DROP TRIGGER {trigger}{where}"


@contextlib.contextmanager
def _unguarded(url: str) -> Iterator[sa.Connection]:
    """Open a ledger's database with its triggers off; they are on again afterwards."""
    with Database.at(url).engine.begin() as connection:
        dialect = connection.dialect.name
        for table in tables.TABLES.sorted_tables:
            for name in tables.guards(table, dialect):
                connection.exec_driver_sql(_drop(name, table, connection))
        yield connection
        for table in tables.TABLES.sorted_tables:
            for sentence in tables.guards(table, dialect).values():
                connection.exec_driver_sql(sentence)


@pytest.mark.parametrize(("says", "attack"), ATTACKS.values(), ids=ATTACKS.keys())
def test_editing_the_database_is_noticed(
    filled: Ledger, url: str, says: str, attack: Callable[[sa.Connection], object]
) -> None:
    with _unguarded(url) as connection:
        attack(connection)
    with pytest.raises(Tampered, match=says):
        filled.verify()


def test_an_entry_labelled_as_of_another_kind_is_not_taken_for_one(
    filled: Ledger, url: str
) -> None:
    with _unguarded(url) as connection:
        _edit(connection, 0, kind="batch")
    assert [entry.number for entry in filled.entries("batch")] == [4, 5, 6]


def test_an_entry_under_another_number_is_noticed_though_the_log_key_signed_it(
    filled: Ledger,
) -> None:
    leaf = Entry(number=3, at="", kind="test", body={}).leaf()
    tree = merkle.Tree.of([*filled.leaves(), leaf])
    head = Checkpoint(origin=filled.origin, size=9, root=tree.root())
    with filled.writing() as connection:
        row = {"number": 8, "kind": "test", "leaf": leaf, "nodes": tree.node(0, 8)}
        connection.execute(entries.insert().values(row))
        note = sign_note(head, filled.signer())
        connection.execute(heads.insert().values(size=9, note=note))
    with pytest.raises(Tampered, match="entry 8 is not"):
        filled.verify()


def test_a_cosignature_of_no_head_is_noticed(filled: Ledger, url: str) -> None:
    with _unguarded(url) as connection:
        if connection.dialect.name == "postgresql":
            key = "ALTER TABLE cosignatures DROP CONSTRAINT fk_cosignatures_size"
        else:
            key = "PRAGMA foreign_keys=OFF"
        connection.exec_driver_sql(key)
        connection.execute(tables.cosignatures.update().values(size=6))
    with pytest.raises(Tampered, match="checkpoint that is not there"):
        filled.verify()


def test_a_value_of_another_type_is_noticed(filled: Ledger, url: str) -> None:
    """PostgreSQL keeps types whoever asks; SQLite does in STRICT tables, until one is replaced."""
    with _unguarded(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE entries ALTER leaf TYPE text USING 'x'")
        else:
            with pytest.raises(exc.IntegrityError, match="cannot store TEXT value in BLOB"):
                connection.exec_driver_sql("UPDATE entries SET leaf = CAST(leaf AS TEXT)")
            connection.exec_driver_sql("CREATE TABLE loose AS SELECT * FROM entries")
            connection.exec_driver_sql("DROP TABLE entries")
            connection.exec_driver_sql("ALTER TABLE loose RENAME TO entries")
            connection.exec_driver_sql("UPDATE entries SET leaf = CAST(leaf AS TEXT)")
    with pytest.raises(Tampered, match="entry 0 is not"):
        filled.verify()


def test_a_table_that_is_gone_is_noticed(filled: Ledger, url: str) -> None:
    with Database.at(url).engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE entries")
    with pytest.raises(Tampered, match="do not match"):
        filled.verify()


@pytest.mark.parametrize("table", tables.TABLES.sorted_tables, ids=lambda table: table.name)
def test_a_trigger_that_is_gone_is_noticed(filled: Ledger, url: str, table: sa.Table) -> None:
    for name, sql in tables.guards(table, Database.at(url).engine.dialect.name).items():
        with Database.at(url).engine.begin() as connection:
            connection.exec_driver_sql(_drop(name, table, connection))
        with pytest.raises(Tampered, match=f"trigger {name}"):
            filled.verify()
        with Database.at(url).engine.begin() as connection:
            connection.exec_driver_sql(sql)
        filled.verify()


OFF = "ALTER TABLE heads DISABLE TRIGGER heads_no_delete"
EMPTIED = """
    CREATE OR REPLACE FUNCTION pramana_append_only() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN RETURN OLD; END$$
"""


ELSEWHERE = """
    DROP TRIGGER entries_no_update ON entries;
    CREATE TRIGGER entries_no_update BEFORE UPDATE ON heads
    FOR EACH STATEMENT EXECUTE FUNCTION pramana_append_only()
"""


@pytest.mark.postgres
@pytest.mark.parametrize("sql", [OFF, EMPTIED, ELSEWHERE], ids=["off", "emptied", "elsewhere"])
def test_a_trigger_of_postgresql_that_does_nothing_is_noticed(
    fill: Callable[[Ledger], Ledger],
    ledger_at: Callable[[str], Ledger],
    new_schema: Callable[[], str],
    sql: str,
) -> None:
    ledger = fill(ledger_at(new_schema()))
    with Database.at(ledger.url).engine.begin() as connection:
        connection.exec_driver_sql(sql)
    with pytest.raises(Tampered, match="which keeps the ledger append-only"):
        ledger.verify()


@pytest.mark.parametrize("table", [entries, heads, tables.cosignatures, spent], ids=str)
def test_the_database_itself_forbids_editing(filled: Ledger, url: str, table: sa.Table) -> None:
    engine = Database.at(url).engine
    key = next(iter(table.primary_key.columns))
    attempts = [table.update().values({key: key}), table.delete()]
    if engine.dialect.name == "postgresql":
        attempts.append(sa.text(f"TRUNCATE {table.name} CASCADE"))
    else:
        again = table.insert().from_select(table.columns.keys(), sa.select(table))
        attempts.append(again.prefix_with("OR REPLACE"))
    for attempt in attempts:
        with pytest.raises(exc.IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(attempt)
    assert filled.verify().size == 8


def test_nothing_is_signed_on_top_of_an_edited_tree(filled: Ledger, url: str) -> None:
    with _unguarded(url) as connection:
        _edit(connection, 7, nodes=b"\1" * 128)
    with pytest.raises(Tampered, match="checkpoint of size 8 is not of these"):
        filled.append("test", {})
    with _unguarded(url) as connection:
        _edit(connection, 7, nodes=b"")
    with pytest.raises(Tampered, match="entry 7 is gone or was cut"):
        filled.append("test", {})
    assert filled.size() == 8


def test_nothing_edited_is_copied(
    filled: Ledger, url: str, other_url: str, ledger_at: Callable[[str], Ledger]
) -> None:
    with _unguarded(url) as connection:
        _edit_leaf(connection)
    with pytest.raises(Tampered, match="entry 1 is not"):
        copy(filled, ledger_at(other_url))
    assert ledger_at(other_url).size() == 0


def test_nothing_is_copied_from_where_anybody_could_edit(
    filled: Ledger, url: str, other_url: str, ledger_at: Callable[[str], Ledger]
) -> None:
    with Database.at(url).engine.begin() as connection:
        connection.exec_driver_sql(_drop("entries_no_update", entries, connection))
    with pytest.raises(Tampered, match="trigger entries_no_update"):
        copy(filled, ledger_at(other_url))


def test_a_checkpoint_kept_elsewhere_tells_what_no_ledger_can_tell_of_itself(
    ledger: Ledger, url: str
) -> None:
    for number in range(7):
        ledger.append("test", {"number": number})
    seen = open_note(ledger.note(), ledger.keys)
    with _unguarded(url) as connection:
        _cut(connection, 5, entries, heads)
    assert ledger.verify().size == 5  # an older copy looks just so
    with pytest.raises(EvidenceMissing, match="has 5 entries; 7 were asked about"):
        ledger.consistency(seen.size, seen.size)
    for number in range(4):
        ledger.append("another", {"number": number})
    head = ledger.verify()
    with pytest.raises(Tampered, match="does not extend"):
        merkle.check_consistency(
            old_size=seen.size, size=head.size, proof=ledger.consistency(seen.size, head.size),
            old_root=seen.root, expected_root=head.root,
        )  # fmt: skip
