"""One reading of the whole table by somebody else: a line of JSON with rows, sum, seconds and peak_bytes.

Arguments: the reader's name, and the place as main.rs has it. What is not installed ends with an error in one line.
"""

import json
import os
import resource
import subprocess
import sys
import time
from urllib.parse import unquote, urlsplit

QUERY = "SELECT * FROM events"


def program(command, rows_of, **environment):
    """A command whose output is thrown away; rows are what it says of them."""
    started = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit((done.stderr.strip().splitlines() or ["it failed"])[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"rows": rows_of(done.stdout), "sum": None, "seconds": seconds, "peak_bytes": peak * 1024}


def library(read):
    """A reading in this process: `read` gives rows and the sum of the first column."""
    started = time.perf_counter()
    rows, total = read()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": rows, "sum": total, "seconds": seconds, "peak_bytes": peak * 1024}



def psql(place):
    copy = "\\copy events TO PROGRAM 'cat > /dev/null' (FORMAT binary)"
    return program(["psql", place, "-X", "-c", copy], lambda out: int(out.split()[-1]))


def mariadb(place):
    url = urlsplit(place)
    login = [f"--user={url.username}", f"--host={url.hostname}", f"--port={url.port}", url.path.strip("/")]
    # It streams its rows to where they are counted.
    command = ["sh", "-c", 'mariadb --protocol=tcp --quick --batch --skip-column-names "$@" | wc -l', "sh"]
    arguments = login + ["--execute", QUERY]
    return program(command + arguments, int, MYSQL_PWD=unquote(url.password or ""))


def sqlite3(place):
    return program(["sh", "-c", 'sqlite3 -batch "$1" "$2" | wc -l', "sh", place, QUERY], int)


def of_table(table):
    import pyarrow.compute as compute

    return table.num_rows, compute.sum(table.column(0)).as_py()


def of_batches(batches):
    import pyarrow.compute as compute

    rows = total = 0
    for batch in batches:
        rows += batch.num_rows
        total += compute.sum(batch.column(0)).as_py() or 0
    return rows, total


def connectorx(place, query=QUERY, **parts):
    import connectorx as cx

    url = place
    if place.startswith("mysql:") or place.startswith("mariadb:"):
        url = "mysql:" + place.split(":", 1)[1]
    if place.startswith("mssql:"):
        url = place + "?encrypt=false&trust_server_certificate=true"
    return library(lambda: of_table(cx.read_sql(url, query, return_type="arrow", **parts)))


def connectorx_parts(place):
    return connectorx(place, partition_on="event_id", partition_num=os.cpu_count())


def connectorx_sqlite(place):
    # It takes a column that is declared as decimal for one of whole numbers.
    columns = "event_id, person_key, kind, amount * 1.0 AS amount, urgent, score, note, happened_at"
    return connectorx("sqlite://" + place, query=f"SELECT {columns} FROM events")


def duckdb_of(function):
    def read(place):
        import duckdb

        connection = duckdb.connect()
        connection.execute("SET preserve_insertion_order = false")
        file = os.path.join(place, "events." + function)
        query = f"SELECT * FROM read_{function}('{file}')"

        def batches():
            result = connection.execute(query)
            # The older name of the same.
            reader = getattr(result, "to_arrow_reader", None) or result.fetch_record_batch
            return of_batches(reader(8192))

        return library(batches)

    return read


def pyarrow_parquet(place):
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(os.path.join(place, "events.parquet"))
    return library(lambda: of_batches(file.iter_batches()))


def pyarrow_csv(place):
    from pyarrow import csv

    return library(lambda: of_batches(csv.open_csv(os.path.join(place, "events.csv"))))


def arrow_odbc(place):
    from arrow_odbc import read_arrow_batches_from_odbc

    return library(lambda: of_batches(read_arrow_batches_from_odbc(QUERY, place, max_text_size=1024)))


READERS = {
    "psql": psql,
    "mariadb": mariadb,
    "sqlite3": sqlite3,
    "connectorx": connectorx,
    "connectorx-parts": connectorx_parts,
    "connectorx-sqlite": connectorx_sqlite,
    "duckdb-parquet": duckdb_of("parquet"),
    "duckdb-csv": duckdb_of("csv"),
    "pyarrow-parquet": pyarrow_parquet,
    "pyarrow-csv": pyarrow_csv,
    "arrow-odbc": arrow_odbc,
}

if __name__ == "__main__":
    print(json.dumps(READERS[sys.argv[1]](sys.argv[2])))
