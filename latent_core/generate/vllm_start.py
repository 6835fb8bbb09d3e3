"""What vLLM must not meet when it starts in a process that has done other work before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Without Triton vLLM 0.32 looks through the variables of every module for kernels, and takes each `__dict__` for a
# dict. That of this module's `lib`, which numba brings (and BM25 numba), is none: the start ends in an AttributeError.
_UNREADABLE = ("llvmlite.binding.ffi",)


@contextmanager
def unreadable_modules_hidden() -> Iterator[None]:
    """Inside, they are not listed in `sys.modules`; who holds them uses them as before."""
    hidden = {name: sys.modules.pop(name) for name in _UNREADABLE if name in sys.modules}
    try:
        yield
    finally:
        sys.modules.update(hidden)
