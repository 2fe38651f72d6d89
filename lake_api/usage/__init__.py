"""How much callers use and may use: windows of requests, queries at once, sums of a day.

Belongs here: counting, refusing, telling what is left.
Does not belong here: what a token's limits are (`tokens.grants`), what a call cost (`query`).
"""
