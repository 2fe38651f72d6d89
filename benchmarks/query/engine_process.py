"""A script that runs one embedded engine and obeys lines of JSON on standard input.

Belongs here: what a peer's process does. It runs inside the peer's own virtual environment, so
that it imports the standard library and the engine only.
Does not belong here: starting it (`contenders`).

    {"op": "query", "sql": …}                        → {"ms": …, "rows": […]}
    {"op": "load", "clients": [[sql, …], …], "seconds": …} → {"taken": [[client, index, ms], …]}

Times are taken around the engine's call alone: no HTTP, no JSON, no pipe.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Run = Callable[[str], list[Any]]


def open_memory(options: Mapping[str, Any]) -> Callable[[], Run]:
    """DuckDB with the rows in memory tables, which is what no reader of files can beat."""
    import duckdb  # noqa: PLC0415 - each engine is in an environment of its own

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, glob in options["tables"].items():
        connection.execute(
            f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{glob}', "
            "hive_partitioning = true, hive_types = {'date': DATE})"
        )
    return lambda: _duckdb_client(connection)


def open_httpfs(options: Mapping[str, Any]) -> Callable[[], Run]:
    """DuckDB as one would have it: a view over a glob, with every cache that it has switched on."""
    import duckdb  # noqa: PLC0415
    import duckdb_extension_httpfs  # noqa: PLC0415

    folder = next(iter(duckdb_extension_httpfs.__path__))
    connection = duckdb.connect(config={"allow_unsigned_extensions": "false"})
    connection.execute(f"LOAD '{folder}/extensions/v{duckdb.__version__}/httpfs.duckdb_extension'")
    connection.execute("SET TimeZone = 'UTC'")
    for setting in ("enable_http_metadata_cache", "parquet_metadata_cache"):
        connection.execute(f"SET GLOBAL {setting} = true")
    connection.execute(
        f"""CREATE SECRET lake (TYPE s3, PROVIDER config, URL_STYLE 'path', USE_SSL false,
            KEY_ID '{options["access_key"]}', SECRET '{options["secret_key"]}',
            REGION '{options["region"]}', ENDPOINT '{options["host"]}')"""
    )
    for name, glob in options["tables"].items():
        connection.execute(
            f"CREATE VIEW {name} AS SELECT * FROM read_parquet('s3://{options['bucket']}/{glob}', "
            "hive_partitioning = true, hive_types = {'date': DATE})"
        )
    return lambda: _duckdb_client(connection)


def _duckdb_client(connection: Any) -> Run:
    cursor = connection.cursor()
    return lambda sql: cursor.execute(sql).fetchall()


def open_chdb(options: Mapping[str, Any]) -> Callable[[], Run]:
    """The ClickHouse engine with its `s3` function in the place of every dataset."""
    from chdb import session  # noqa: PLC0415

    opened = session.Session()
    settings = "use_hive_partitioning = 1, output_format_json_quote_64bit_integers = 0"
    sources = {
        name: f"s3('http://{options['host']}/{options['bucket']}/{glob}', "
        f"'{options['access_key']}', '{options['secret_key']}', 'Parquet')"
        for name, glob in options["tables"].items()
    }

    def run(sql: str) -> list[Any]:
        for name, source in sources.items():
            sql = sql.replace(f"FROM {name}", f"FROM {source}")
            sql = sql.replace(f"JOIN {name}", f"JOIN {source}")
        answer = opened.query(f"{sql} SETTINGS {settings}", "JSONCompact")
        return json.loads(answer.bytes() or b'{"data": []}')["data"]

    return lambda: run


def _query(run: Run, sql: str) -> dict[str, Any]:
    started = time.perf_counter()
    rows = run(sql)
    return {"ms": (time.perf_counter() - started) * 1_000, "rows": rows}


def _load(connect: Callable[[], Run], clients: Sequence[Sequence[str]], seconds: float) -> Any:
    """Each client asks one text after the other until the time is over."""
    taken: list[tuple[int, int, float]] = []
    failures: list[str] = []
    until = time.perf_counter() + seconds

    def work(client: int, texts: Sequence[str]) -> None:
        run = connect()
        for index, sql in enumerate(texts):
            if time.perf_counter() > until:
                return
            try:
                taken.append((client, index, _query(run, sql)["ms"]))
            except Exception as error:  # noqa: BLE001 - whatever the engine raises is reported
                failures.append(str(error))
                return

    threads = [threading.Thread(target=work, args=one) for one in enumerate(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"taken": taken, "failures": failures[:3], "seconds": time.perf_counter() - started}


def main() -> None:
    """Open the engine that the first line names, then do what each further line asks."""
    options = json.loads(sys.stdin.readline())
    openers = {"memory": open_memory, "httpfs": open_httpfs, "chdb": open_chdb}
    connect = openers[options["engine"]](options)
    run = connect()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = (
                _query(run, asked["sql"])
                if asked["op"] == "query"
                else _load(connect, asked["clients"], asked["seconds"])
            )
        except Exception as error:  # noqa: BLE001 - whatever the engine raises is reported
            answer = {"error": str(error)}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
