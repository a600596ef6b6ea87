"""DuckDB over attached databases: one JSON line a query, with the median time and the rows that its scans read.

The one argument is a JSON file: `databases` (agency: [kind, URL or file]), `queries` ([name, SQL]) and `runs`. DuckDB and its
extensions come from PyPI, see main.rs.
"""

import json
import statistics
import sys
import time

import duckdb
from duckdb_extensions import import_extension

SCANS = ("POSTGRES_SCAN", "SQLITE_SCAN", "POSTGRES_SCAN_PUSHDOWN")


def rows_read(node):
    """The rows that the scans of attached databases gave, in a profile or a part of one."""
    function = str(node.get("extra_info", {}).get("Function", "")).upper()
    name = str(node.get("operator_name", "")).strip().upper()
    own = node.get("operator_cardinality", 0) if function in SCANS or name in SCANS else 0
    return own + sum(rows_read(child) for child in node.get("children", []))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    connection = duckdb.connect()
    for extension in ("postgres_scanner", "sqlite_scanner"):
        import_extension(extension, con=connection)
        connection.execute(f"LOAD {extension}")
    for agency, (kind, location) in request["databases"].items():
        connection.execute(f"ATTACH '{location}' AS {agency} (TYPE {kind}, READ_ONLY)")
    for name, sql in request["queries"]:
        times = []
        for _ in range(request["runs"] + 1):
            started = time.perf_counter()
            connection.execute(sql).fetchall()
            times.append(time.perf_counter() - started)
        connection.execute("SET enable_profiling = 'no_output'")
        connection.execute(sql).fetchall()
        profile = json.loads(connection.get_profiling_information())
        connection.execute("PRAGMA disable_profiling")
        counted = times[1:] or times
        print(json.dumps({"query": name, "seconds": statistics.median(counted), "rows": rows_read(profile)}), flush=True)


main()
