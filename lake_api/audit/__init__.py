"""Who asked what, when, over which datasets, with which outcome and cost: append-only.

    table      the rows, and which days of them were removed
    log        what is recorded, so that it is committed
    answering  no answer before its row
    retention  removing what is old and in the lake

Belongs here: the table, writing to it before an answer leaves, withholding what can't be recorded.
Does not belong here: log lines (`query.call_log`), sums of a day (`usage`), reading the table: it
is exported daily as the dataset `platform/lake_query_audit`.
"""
