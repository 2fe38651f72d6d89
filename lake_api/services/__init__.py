"""The parts of the lake as services: which there are, how they stand, and what they can be told.

    schemas     the bodies
    commands    what each command does
    catalogue   the services, as data
    runner      running commands in the background, as operations
    controller  the routes

Belongs here: maintenance by hand, for the admin.
Does not belong here: readiness for load balancers (`health`), tasks of datasets (`tasks`).
"""
