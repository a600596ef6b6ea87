"""Python's libraries over the endpoint: psycopg 3, SQLAlchemy over two drivers, pandas and asyncpg.

Arguments: port and password. It fails where a library does, or where two of them read different rows.
"""

import asyncio
import datetime
import sys

import asyncpg
import pandas
import psycopg
import sqlalchemy
from psycopg.types import TypeInfo
from sqlalchemy import MetaData, create_engine, inspect, select

port, password = sys.argv[1:]
ALL = "SELECT nhs_number, name, dob FROM health.patients ORDER BY nhs_number, name, dob"
where = {"host": "127.0.0.1", "port": port, "user": "sam", "password": password}


def psycopg_reads():
    with psycopg.connect(**where, dbname="wayleave") as connection:
        told = []
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
        rows = connection.execute(ALL).fetchall()
        assert len(rows) > 3 and any("consent" in text for text in told), told
        names = [row[1] for row in rows if row[1]]
        one = connection.execute("SELECT DISTINCT name FROM health.patients WHERE name = %s", (names[0],)).fetchall()
        assert one == [(names[0],)], one
        two = connection.execute("SELECT count(DISTINCT name) FROM health.patients WHERE name = ANY(%s)", (names[:1],))
        assert two.fetchone() == (1,)
        after = connection.execute("SELECT count(*) FROM health.patients WHERE dob > %s", (datetime.date(1800, 1, 1),))
        assert after.fetchone()[0] > 0
        with connection.cursor("by_name") as cursor:
            cursor.itersize = 2
            assert [row for row in cursor.execute(ALL)] == rows
        with connection.transaction():
            try:
                with connection.transaction():
                    connection.execute("SELECT * FROM police.incidents")
            except psycopg.errors.InsufficientPrivilege as refusal:
                assert refusal.diag.message_hint
            assert connection.execute("SELECT 1").fetchone() == (1,)
        info = TypeInfo.fetch(connection, "text")
        assert (info.oid, info.array_oid) == (25, 1009)
        assert TypeInfo.fetch(connection, "hstore") is None
    with psycopg.connect(**where, dbname="wayleave") as connection:
        cursor = connection.cursor(binary=True)
        assert cursor.execute(ALL).fetchall() == rows
        assert cursor.execute("SELECT relname, relhasindex, relnatts FROM pg_class WHERE relname = 'patients'").fetchall()
        return rows


def sqlalchemy_reflects(driver, rows):
    url = sqlalchemy.URL.create(f"postgresql+{driver}", "sam", password, "127.0.0.1", int(port), "wayleave")
    engine = create_engine(url)
    found = inspect(engine)
    assert {"health", "social", "unified"} <= set(found.get_schema_names())
    assert "patients" in found.get_table_names(schema="health"), found.get_table_names(schema="health")
    assert "clients" in found.get_view_names(), found.get_view_names()
    columns = {column["name"]: str(column["type"]) for column in found.get_columns("patients", schema="health")}
    assert columns["name"] == "TEXT" and columns["dob"] == "DATE" and "deceased" not in columns, columns
    assert found.has_table("patients", schema="health") and not found.has_table("incidents", schema="police")
    assert found.get_table_comment("patients", schema="health")["text"].endswith(": available")
    for nothing in (found.get_foreign_keys, found.get_indexes, found.get_unique_constraints, found.get_check_constraints):
        assert nothing("patients", schema="health") == []
    assert found.get_enums() == [] and found.get_sequence_names() == []
    tables = MetaData()
    tables.reflect(engine, schema="health", views=True)
    patients = tables.tables["health.patients"].c
    asked = select(patients.nhs_number, patients.name, patients.dob)
    asked = asked.order_by(patients.nhs_number, patients.name, patients.dob)
    with engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(asked)] == rows
    frame = pandas.read_sql(ALL, engine)
    assert len(frame) == len(rows) and list(frame.columns) == ["nhs_number", "name", "dob"]
    assert len(pandas.read_sql_table("patients", engine, schema="health")) == len(rows)
    pieces = list(pandas.read_sql(ALL, engine.connect().execution_options(stream_results=True), chunksize=2))
    assert sum(len(piece) for piece in pieces) == len(rows) and len(pieces) > 1


async def asyncpg_reads(rows):
    connection = await asyncpg.connect(database="wayleave", **where)
    assert [tuple(row) for row in await connection.fetch(ALL)] == rows
    named = await connection.fetch("SELECT relname FROM pg_class WHERE relname = ANY($1::text[])", ["patients"])
    assert [row["relname"] for row in named] == ["patients"]
    async with connection.transaction():
        fetched = [tuple(row) async for row in connection.cursor(ALL, prefetch=2)]
        assert fetched == rows
    await connection.close()


rows = psycopg_reads()
for driver in ("psycopg", "psycopg2"):
    sqlalchemy_reflects(driver, rows)
asyncio.run(asyncpg_reads(rows))
