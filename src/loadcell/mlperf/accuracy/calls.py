"""The filter of system calls around a program that a model wrote: one table, for the kernel's filter (seccomp, BPF).

What it keeps away: other namespaces and mounts, keys, memory that no limit counts, other processes, sockets of families
that reach outside a network namespace, and parts of the kernel in which faults were found again and again.
"""

from __future__ import annotations

import errno
import struct

NEW_NAMESPACES = 0x20000 | 0x8000000 | 0x4000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x2000000 | 0x80
SHARED_ANONYMOUS = 0x21
FAMILIES = (1, 2, 10)
"""UNIX, IPv4 and IPv6: those that a network namespace confines."""
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Their place in the tables, and in the kernel's audit."""
CALLS: dict[str, tuple[int | None, int | None]] = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "personality": (135, 92),
    "fanotify_init": (300, 262), "modify_ldt": (154, None), "iopl": (172, None), "ioperm": (173, None),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
}  # fmt: skip
"""Refused, whatever they are asked for: their numbers on x86-64 and aarch64 (None: it has none)."""
JUDGED = {"clone": (56, 220), "clone3": (435, 435), "mmap": (9, 222), "socket": (41, 198), "socketpair": (53, 199)}
"""Refused by what they are asked for."""

_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_OF, _ANSWER = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_PASS, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x50000
_NUMBER, _AUDIT, _ARGUMENTS = 0, 4, (16, 24, 32, 40)
"""Offsets in what the filter sees of a call: of an argument, its lower half."""


def call_filter(machine: str) -> bytes:
    """The filter for a machine of MACHINES: calls of another one kill, refused ones fail, all others pass."""
    at, audit = MACHINES[machine]
    judged = {name: numbers[at] for name, numbers in JUDGED.items()}
    steps = [_step(_LOAD, _AUDIT), _step(_EQUAL, audit, yes=1), _step(_ANSWER, _KILL), _step(_LOAD, _NUMBER)]
    steps += [_step(_AT_LEAST, 0x40000000, no=1), _fail(errno.ENOSYS)]  # x86-64's calls with short pointers
    for numbers in CALLS.values():
        if (number := numbers[at]) is not None:
            steps += [_step(_EQUAL, number, no=1), _fail(errno.EPERM)]
    # what clone3 asks for cannot be seen: libraries that find it missing take clone
    steps += [_step(_EQUAL, judged["clone3"], no=1), _fail(errno.ENOSYS)]
    steps += _judge(judged["clone"], 0, [_step(_ANY_OF, NEW_NAMESPACES, no=1), _fail(errno.EPERM)])
    shared = [_step(_AND, SHARED_ANONYMOUS), _step(_EQUAL, SHARED_ANONYMOUS, no=1), _fail(errno.EPERM)]
    steps += _judge(judged["mmap"], 3, shared)
    families = [_step(_EQUAL, family, yes=len(FAMILIES) - i) for i, family in enumerate(FAMILIES)]
    for name in ("socket", "socketpair"):
        steps += _judge(judged[name], 0, [*families, _fail(errno.EAFNOSUPPORT)])
    return b"".join([*steps, _step(_ANSWER, _PASS)])


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """A step of the filter; `yes` and `no` are how many steps a comparison skips."""
    return struct.pack("=HBBI", code, yes, no, value)


def _fail(number: int) -> bytes:
    return _step(_ANSWER, _FAIL | number)


def _judge(call: int, argument: int, steps: list[bytes]) -> list[bytes]:
    """Let a call pass unless `steps` answer, which find its argument loaded."""
    inside = [_step(_LOAD, _ARGUMENTS[argument]), *steps, _step(_ANSWER, _PASS)]
    return [_step(_EQUAL, call, no=len(inside)), *inside]
