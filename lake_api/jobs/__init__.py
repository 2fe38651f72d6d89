"""Queries that may take minutes: asked for once, run in the background, read by page.

    states      the states of a job, and what leads from one to the other; pure
    asked       what is asked for when one is made
    table       how jobs and exports are stored
    store       their life, over the table
    runner      takes them, one after the other, and puts what comes of them into the bucket
    authority   whose a job is when it runs, and what that one may then do
    costs       what one may take of its caller's day, and what it took
    kept_files  copies of kept results on this machine, for pages
    controller  the routes

An export (`lake_api.exports`) is a job whose result is a file to download: it is stored, run,
taken up again and swept by the same code.

Belongs here: everything that outlives a request. Does not belong here: running SQL
(`lake_api.query`), objects of the bucket (`lake_api.exports.objects`).
"""
