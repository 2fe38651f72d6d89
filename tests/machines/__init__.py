"""The two commands on other people's machines: `make machines`.

Belongs here: the cases, each a machine, a user or an environment that somebody may have, and one
visit of the whole way in each.
Does not belong here: what the ordinary tests show (they run in every case of CI); no test is
collected here, because some cases want root and all of them want minutes.
"""
