"""The lake's parts as local processes: start them, watch them, stop them.

Belongs here: everything about processes, ports and the state directory.
Does not belong here: what the parts do, and how the command line talks about them (`cli`).
"""
