"""Runs one program that nobody trusts, in a process of its own; started by `confined.py`, in a bare interpreter.

Before the program's first line the process has given up, for good, everything but computing:

- seccomp refuses each system call that is not listed here. There are none to open, create or change a file, to start a
  process or a thread, to open a socket, to send a signal, or to raise a limit.
- resource limits bound CPU time, address space, file size, open files, processes and core dumps.
- the working directory is empty, private and already removed.

So a program can leave nothing behind, and cannot touch other processes, whatever it does. Modules that programs may
import are loaded before. What the program says of its results is not trusted: it never sees the expected ones.

Imports nothing but the standard library. Linux on x86_64 and aarch64.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import sys

# What a program may import.
MODULES = (
    "abc array bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime decimal enum "
    "fractions functools graphlib heapq io itertools json math numbers operator pprint queue random re statistics "
    "string struct sys textwrap threading time traceback types typing unicodedata _strptime encodings.ascii "
    "encodings.latin_1"
).split()
REFUSED = 97  # exit status: this machine cannot confine programs
STACK = 64 * 2**20  # bytes

# System calls for computing, and for reading and writing what is open already: (x86_64, aarch64).
_CALLS = {
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "dup": (32, 23),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getcwd": (79, 17),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "pread64": (17, 67),
    "read": (0, 63),
    "readv": (19, 65),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "set_robust_list": (273, 99),
    "sigaltstack": (131, 132),
    "statx": (332, 291),
    "times": (100, 153),
    "uname": (63, 160),
    "write": (1, 64),
    "writev": (20, 66),
}
_FCNTL = (72, 25)
_FCNTL_COMMANDS = (1, 2, 3, 1030)  # F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC; others can send signals
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the table, AUDIT_ARCH
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050001  # the last: fail with EPERM
_NUMBER, _ARCHITECTURE, _SECOND_ARGUMENT = 0, 4, 24  # offsets in struct seccomp_data
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction))]


def give_up_system_calls() -> None:
    """Install the filter for this process; raises OSError where the machine has no seccomp or is of another kind."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        raise OSError(f"there is no filter for {sys.platform} on {platform.machine()}")
    column, architecture = _ARCHITECTURES[platform.machine()]
    allowed = sorted(numbers[column] for numbers in _CALLS.values())
    rules = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *((_JUMP_EQUAL, len(allowed) - place + 1 + 1 + len(_FCNTL_COMMANDS), 0, k) for place, k in enumerate(allowed)),
        (_JUMP_EQUAL, 0, 1 + len(_FCNTL_COMMANDS), _FCNTL[column]),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        *((_JUMP_EQUAL, len(_FCNTL_COMMANDS) - place, 0, k) for place, k in enumerate(_FCNTL_COMMANDS)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    instructions = (_Instruction * len(rules))(*(_Instruction(*rule) for rule in rules))
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = _Filter(len(rules), instructions)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, 2, ctypes.byref(wanted), 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "seccomp is not available")


def set_limits(cpu_seconds: int, memory: int) -> None:
    """Bound this process; `memory` is in bytes of address space."""
    limits = {
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 1),  # SIGXCPU, which can be ignored, then SIGKILL
        resource.RLIMIT_AS: (memory, memory),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NOFILE: (16, 16),
        resource.RLIMIT_NPROC: (1, 1),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, (soft, hard) in limits.items():
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))
    most = resource.getrlimit(resource.RLIMIT_STACK)[1]
    wanted = STACK if most == resource.RLIM_INFINITY else min(STACK, most)
    resource.setrlimit(resource.RLIMIT_STACK, (wanted, wanted))


def die_with(parent: int) -> None:
    """Be killed as soon as the process that started this one ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def enter_empty_directory(above: str) -> None:
    path = os.path.join(above, f"confined-{os.getpid()}-{os.urandom(8).hex()}")  # noqa: PTH118 (pathlib takes longer)
    os.mkdir(path, 0o700)  # noqa: PTH102
    os.chdir(path)
    os.rmdir(path)  # noqa: PTH106


def main() -> None:
    job_file, status, parent, temporary = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    die_with(parent)
    with os.fdopen(job_file, "rb") as file:
        job = json.load(file)
    for name in MODULES:
        __import__(name)
    import builtins
    import random

    random.seed(0)
    builtins.__dict__.update(exit=sys.exit, quit=sys.exit)  # a bare interpreter has neither
    enter_empty_directory(temporary)
    if job["function"] is not None:  # what it prints is no result
        os.dup2(2, 1)
    try:
        set_limits(job["cpu_seconds"], job["memory"])
        give_up_system_calls()
    except (OSError, ValueError) as error:
        _say(status, {"refused": str(error)})
        os._exit(REFUSED)
    _say(status, {"ready": True})
    try:
        _run(job, status)
    except SystemExit as ended:
        _leave(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
    except BaseException as error:
        _say(status, {"error": f"{type(error).__name__}: {error}"[:300]})
        _leave(1)
    _leave(0)


def _run(job: dict, status: int) -> None:  # type: ignore[type-arg]
    """Run the program as a module of its own; with a function, call it once for each list of arguments."""
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    if job["function"] is not None:
        module.__name__ = "program"  # a script's own main part is not asked for
    exec(compile(job["source"], "program.py", "exec"), module.__dict__)
    if job["function"] is None:
        return
    function = module.__dict__.get(job["function"])
    if function is None and "Solution" in module.__dict__:
        function = getattr(module.__dict__["Solution"](), job["function"], None)
    if function is None:
        raise NameError(f"there is no function {job['function']}")
    for arguments in job["arguments"]:
        _say(status, {"result": function(*arguments)})


def _say(status: int, message: dict) -> None:  # type: ignore[type-arg]
    text = memoryview(json.dumps(message).encode() + b"\n")
    while text:
        text = text[os.write(status, text) :]


def _leave(code: int) -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):  # closed, or replaced by the program
        code = code or 1
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
