"""What the C library keeps of memory that is not used any more: little.

Belongs here: telling it so, once, when the service's process starts.
Does not belong here: how much memory anything may use.

By itself glibc has up to eight heaps per processor, one for each thread that is in the way of
another, and after each large buffer that is freed it takes buffers up to that size from the heap,
where a small one behind them keeps the whole from the system. For a process that passes megabytes
on, all day and in many threads, that is memory which grows and never comes back.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 256 * 1024
_KEPT_BYTES = 1024 * 1024
_HEAPS = 2


def keep_heap_small() -> bool:
    """Give large buffers back when they are freed; whether the C library can be told so."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    wanted = {
        _M_ARENA_MAX: _HEAPS,
        _M_MMAP_THRESHOLD: _LARGE_BYTES,
        _M_TRIM_THRESHOLD: _KEPT_BYTES,
    }
    done = [set_option(name, value) == 1 for name, value in wanted.items()]
    return all(done)
