"""Outside sources as small servers on loopback: real shapes, real habits, and faults on demand.

`python -m tests.fakes` starts all of them and prints the settings that point collectors at them.
"""
