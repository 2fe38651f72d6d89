"""Files of the bucket over HTTP: links to exports and artifacts, and what the links answer.

    links       what a link says, its signature, and where it leads
    ranges      the Range header; pure
    downloads   whose link it is, what its holder may read now, the file's bytes
    controller  the routes

Belongs here: handing files out. Does not belong here: how files come to be (`lake_api.jobs`,
`lake_api.artifacts`), calls to S3 (`lake_api.exports.objects`).
"""
