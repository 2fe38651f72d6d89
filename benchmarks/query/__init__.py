"""The read side, measured over HTTP beside its peers and beside a memory table."""
