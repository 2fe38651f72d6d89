"""Who asked what, when, over which datasets, with which outcome and cost: append-only.

Belongs here: the table, writing to it before an answer leaves, withholding what can't be recorded.
Does not belong here: log lines (`query.call_log`), sums of a day (`usage`), reading the table: it
is exported daily as the dataset `platform/lake_query_audit`.
"""
