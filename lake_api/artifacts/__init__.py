"""Files that agents keep for later and share: taken as bytes, given back as a download.

    names       what a file may be called
    kinds       what its bytes seem to be
    table       how files are known to the database
    store       their life there, and quotas
    service     taking, linking, removing and sweeping them
    schemas     the bodies
    controller  the routes

Belongs here: bytes that nobody looks into. Does not belong here: results of queries (`exports`).
"""
