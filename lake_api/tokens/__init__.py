"""Tokens: who an outside caller is, and what it may do.

    secret      the text of a token: minting and hashing
    grants      what a token allows: datasets, operations, limits
    table       how tokens are stored
    store       making, finding and revoking them
    controller  the routes

Belongs here: identity by token. Does not belong here: identity by network or key
(`lake_api.identity`), counting what was used (`lake_api.usage`).
"""
