"""Hostile and mutated SQL against guard and worker: `python -m tests.fuzz --minutes N`."""
