"""Results as files in the bucket, for download by a link (`lake_api.files`).

    signing     signed URLs of S3 (SigV4); pure
    objects     what lies below `exports/`: uploads in parts, reading, removal, signed URLs
    schemas     bodies of the routes
    controller  the routes

Belongs here: files and their links. Does not belong here: how a query becomes a file
(`lake_api.query.worker.files`), when it is run (`lake_api.jobs`).
"""
