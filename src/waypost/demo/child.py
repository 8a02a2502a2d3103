"""Runs a module of this package as a child of the demo: `python -m waypost.demo.child MODULE ARGUMENTS`.

The child ends when the demo ends, however that happens: a demo that was killed leaves no process behind.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h: the signal that the kernel sends when the parent dies


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies. Other systems than Linux have no such thing, and go without."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel knew
        sys.exit(1)


if __name__ == "__main__":
    end_with_parent()
    module, *sys.argv[1:] = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
