"""What runs inside a query worker process, and nowhere else: the only importers of DuckDB.

    __main__        the process: locks itself, proves it, serves jobs from a pipe
    sandbox         the limits that the process puts on itself
    locked_engine   DuckDB with its settings, and the attempts that must fail
    session         one query: vote, views, run, encode
    views           a dataset as one query sees it
    encode          rows as JSON
    failures        engine errors in the caller's terms

Belongs here: work on untrusted SQL and stored bytes. Does not belong here: S3, secrets, network.
"""
