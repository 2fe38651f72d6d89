"""Long-running operations: one question, three answers, whatever is running.

    schemas     the three shapes
    table       how commands of services are stored
    store       beginning, ending and finding these
    commands    a command of a service as an operation
    tasks       a run or backfill of Dagster as an operation
    jobs        a job or an export as an operation
    controller  the route

Belongs here: how what runs elsewhere is told in one way.
Does not belong here: running anything (`services`, `tasks`, `jobs`, `exports`).
"""
