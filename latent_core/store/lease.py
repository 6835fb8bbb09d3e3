"""Leases: of several runs that need the same artifact one computes it, and the others wait.

They save work and guard nothing: what makes a race harmless is the manifest, which only one writer can create. The
leases of an artifact are numbered files beside its manifest, and the highest number holds. Taking one is creating the
next number, which only one can do; nothing is deleted, so no late comer can undo a takeover. A holder rewrites its file
every few seconds; who waits and sees no change for as long as the lease lasts takes the next number. No clocks are
compared. A holder that finds a higher number, or cannot renew for so long that there may be one, has lost.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from latent_core.errors import InfrastructureError, LatentError, StageFailed
from latent_core.store.layout import ArtifactRef
from latent_core.store.root import Root

_BEATS = 4  # in the time of a lease: three may be missed
_POLL_SECONDS = 5.0  # between two looks of one that waits, at most
_CLOCK_SECONDS = 2.0  # by which the start of a process may seem to move when the clock is set


class HeldError(LatentError):
    """Somebody else holds the lease; `wait_for_lease` waits with this."""

    def __init__(self, ref: ArtifactRef, number: int, holder: str) -> None:
        super().__init__(ref, number, holder)
        self.ref, self.number, self.holder = ref, number, holder

    def __str__(self) -> str:
        return f"{self.ref}: {self.holder} is computing it"


class LostLeaseError(InfrastructureError):
    """The lease went to somebody else while its holder computed: this holder must not go on."""


@dataclass(frozen=True)
class LeaseTerms:
    """How a lease is taken: it lasts `seconds` without a sign of life; those up to number `expired` are over."""

    seconds: float
    expired: int = 0


@dataclass(frozen=True)
class _Holder:
    """What a lease file says. `place` tells processes apart whose numbers could be the same."""

    token: str
    place: str
    pid: int
    started: float
    beat: int = 0
    released: bool = False

    @classmethod
    def this_process(cls) -> _Holder:
        import psutil

        pid = os.getpid()
        return cls(uuid.uuid4().hex, _place(), pid, psutil.Process(pid).create_time())

    @property
    def is_over(self) -> bool:
        """Released, or its process was one of this machine's and is no more."""
        import psutil

        if self.released or self.place != _place():
            return self.released
        try:
            process = psutil.Process(self.pid)
            is_another = abs(process.create_time() - self.started) > _CLOCK_SECONDS
            return is_another or bool(process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.place.split('/')[0]}"


@contextmanager
def held(root: Root, ref: ArtifactRef, terms: LeaseTerms, lost: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Hold the lease of an artifact during the block, renewing it from a thread.

    `lost` is called from that thread, with the reason, when the lease is lost; it must end the computation. The block
    gets a function that looks once more and raises LostLeaseError: to be called before anything is committed. Raises
    HeldError at once when somebody else holds the lease.
    """
    holder = _Holder.this_process()
    number = _take(root, ref, holder, terms)
    renewal = _Renewal(root, ref, number, holder, terms, lost)
    renewal.start()
    try:
        yield renewal.confirm
    finally:
        renewal.stop()


def wait_for_lease(
    root: Root, held_by: HeldError, seconds: float, arrived: Callable[[], bool], pause: Callable[[float], bool]
) -> int | None:
    """Wait until the artifact arrived (then None) or its lease is free: the number up to which leases are over.

    A lease is free when it was released, its process is known to be dead, or nothing changed for `seconds`. `pause`
    waits so many seconds, and says whether the waiting is to be given up (StageFailed then).
    """
    number = held_by.number
    last, since = None, time.monotonic()
    while not arrived():
        holder = _read(root, held_by.ref, number)
        if holder != last:
            last, since = holder, time.monotonic()
        if holder is None or holder.is_over or time.monotonic() - since > seconds:
            if _read(root, held_by.ref, number + 1) is None:
                return number
            number, last = number + 1, None  # another one that waited was quicker
        if pause(min(seconds / _BEATS, _POLL_SECONDS)):
            raise StageFailed(f"{held_by.ref}: the run ended while it waited for {held_by.holder}")
    return None


def _take(root: Root, ref: ArtifactRef, holder: _Holder, terms: LeaseTerms) -> int:
    number = max(1, terms.expired)
    while True:
        other = _read(root, ref, number)
        if other is None and root.create(_key(ref, number), _content(holder)):
            return number
        other = other or _read(root, ref, number)
        if other is not None and other.token == holder.token:
            return number  # a put whose answer was lost was sent again, and refused because of itself
        if other is not None and number > terms.expired and not other.is_over:
            raise HeldError(ref, number, str(other))
        number += 1


class _Renewal:
    def __init__(
        self,
        root: Root,
        ref: ArtifactRef,
        number: int,
        holder: _Holder,
        terms: LeaseTerms,
        lost: Callable[[str], None],
    ) -> None:
        self._root, self._ref, self._number, self._holder = root, ref, number, holder
        self._seconds, self._lost = terms.seconds, lost
        self._renewed = time.monotonic()
        self._beating = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self.reason: str | None = None

    def start(self) -> None:
        self._thread.start()

    def confirm(self) -> None:
        self._beat(released=False)
        if self.reason is not None:
            raise LostLeaseError(self.reason)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        if self.reason is None:
            self._beat(released=True)

    def _renew(self) -> None:
        while not self._stopped.wait(self._seconds / _BEATS):
            self._beat(released=False)
            if self.reason is not None:
                self._lost(self.reason)
                return

    def _beat(self, released: bool) -> None:
        with self._beating:
            self._look_and_write(released)

    def _look_and_write(self, released: bool) -> None:
        try:
            successor = _read(self._root, self._ref, self._number + 1)
            if successor is not None:
                self.reason = f"{self._ref}: its lease was taken over by {successor}; this attempt ends"
                return
            self._holder = replace(self._holder, beat=self._holder.beat + 1, released=released)
            self._root.replace(_key(self._ref, self._number), _content(self._holder))
            self._renewed = time.monotonic()
        except (OSError, LatentError) as error:
            silent = time.monotonic() - self._renewed
            if silent > self._seconds:
                self.reason = f"{self._ref}: its lease could not be renewed for {silent:.0f} s ({error})"


def _key(ref: ArtifactRef, number: int) -> str:
    return f"{ref.key}/lease-{number}.json"


def _content(holder: _Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _read(root: Root, ref: ArtifactRef, number: int) -> _Holder | None:
    """What stands in a lease file; None where there is none."""
    try:
        return _Holder(**json.loads(root.read(_key(ref, number))))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InfrastructureError(
            f"{ref}: its lease {_key(ref, number)} cannot be read ({error}); remove it"
        ) from error


def _place() -> str:
    """Host, boot and process namespace: within one place a process number means one process."""
    parts = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        entry = Path(path)
        if entry.is_symlink():
            parts.append(str(entry.readlink()))
        elif entry.is_file():
            parts.append(entry.read_text().strip())
    return "/".join(parts)
