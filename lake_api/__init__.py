"""How the lake's data is read: the HTTP service, its query engine and the `lake` command."""
