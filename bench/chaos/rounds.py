"""One round of chaos: start the run, kill what is due, start it again until it is done, then look at what is left."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.chaos import audit
from bench.chaos.kills import Kill, Kind, Tally, draw_kills
from bench.chaos.victims import Server, Victim, is_alive
from bench.chaos.watch import CommitWatch, Event, WorkerLogs

TICK = 0.002  # seconds between two looks at the logs: the shortest stages take some 20 ms
LOOK = 0.1  # seconds between two looks at the store
ROUND_SECONDS = 3 * 3600.0  # a run that hangs is an error, too
SPARE_STARTS = 10  # restarts beyond those that a kill explains


def undisturbed_run(victim: Victim) -> dict[str, float]:
    """Run to the end; returns the seconds that each artifact took. Raises RuntimeError when the run fails."""
    victim.start()
    try:
        while (code := victim.exit_code()) is None:
            time.sleep(0.1)
    finally:
        victim.kill_group()
    if code != 0:
        raise RuntimeError(f"the undisturbed run failed: {_tail(victim)}")
    starts: dict[str, float] = {}
    durations = {}
    for event in WorkerLogs(victim.logs).new_events():
        if event.is_start:
            starts[event.key] = event.time
        else:
            durations[event.key] = event.time - starts[event.key]
    return durations


def disturbed_round(
    victim: Victim,
    undisturbed: Victim,
    server: Server,
    durations: Mapping[str, float],
    counts: Mapping[Kind, int],
    rng: random.Random,
    tally: Tally,
) -> list[str]:
    """Run with kills until done; returns what was wrong afterwards, and adds the kills to `tally`."""
    try:
        commits = _run_until_done(victim, server, draw_kills(durations, counts, rng), tally)
    except _NotDoneError as error:
        return [str(error)]
    finally:
        victim.kill_group()
    events = list(WorkerLogs(victim.logs).new_events())
    return [
        *audit.differences(undisturbed.store, victim.store),
        *audit.computed_again(events, commits),
        *audit.survivors(events),
        *audit.damaged(victim.store),
        *audit.left_after_gc(victim.store),
        *(f"{problem}, after gc" for problem in audit.differences(undisturbed.store, victim.store)),
    ]


class _NotDoneError(Exception):
    """The run was started more often, or took longer, than kills explain."""


def _run_until_done(victim: Victim, server: Server, planned: dict[str, list[Kill]], tally: Tally) -> CommitWatch:
    """Start, kill what is due, start again; returns what was seen of the store meanwhile."""
    commits = CommitWatch(victim.store)
    killer = _Killer(victim, server, planned, tally)
    victim.start()
    killer.watch_new_run()
    most_starts = sum(kill.kind is not Kind.WORKER for kills in planned.values() for kill in kills) + SPARE_STARTS
    deadline, next_look = time.monotonic() + ROUND_SECONDS, 0.0
    while (code := victim.exit_code()) != 0:
        if time.monotonic() > deadline:
            raise _NotDoneError(f"not done within {ROUND_SECONDS:.0f} s: {_tail(victim)}")
        if code is not None:
            if victim.starts >= most_starts:
                raise _NotDoneError(f"not done after {victim.starts} starts: {_tail(victim)}")
            killer.run_ended()
            server.wait_until_ready()
            tally.restarts += 1
            victim.start()
            killer.watch_new_run()
        killer.tick()
        if time.monotonic() >= next_look:
            commits.look()
            next_look = time.monotonic() + LOOK
        time.sleep(TICK)
    killer.run_ended()
    server.wait_until_ready()
    commits.look()
    return commits


@dataclass
class _Killer:
    """Follows the workers' logs, and kills when a planned kill is due."""

    victim: Victim
    server: Server
    planned: dict[str, list[Kill]]
    tally: Tally
    _logs: WorkerLogs | None = None
    _doing: dict[int, Event] = field(default_factory=dict)  # the newest event of each worker, by process
    _due: list[tuple[float, Kind, int]] = field(default_factory=list)
    _outliving: int = 0  # server kills since the newest start of the run

    def watch_new_run(self) -> None:
        self._logs = WorkerLogs(self.victim.logs, f"worker-{self.victim.pid}-*.log")
        self._doing.clear()
        self._due.clear()

    def run_ended(self) -> None:
        """The run is done, was killed, or failed: only then did it not outlive the server's deaths in its time."""
        if self.victim.exit_code() in (0, -signal.SIGKILL):
            self.tally.server_survived += self._outliving
        self._outliving = 0

    def tick(self) -> None:
        assert self._logs is not None
        for event in self._logs.new_events():
            self._doing[event.pid] = event
            if event.is_start and self.planned.get(event.key):
                kill = self.planned[event.key].pop(0)
                self._due.append((event.time + kill.delay, kill.kind, event.pid))
        now = time.time()
        for item in [item for item in self._due if item[0] <= now]:
            self._due.remove(item)
            self._strike(item[1], item[2])

    def _strike(self, kind: Kind, pid: int) -> None:
        if self.victim.exit_code() is not None or not is_alive(pid):
            return
        event = self._doing[pid]
        if kind is Kind.WORKER:
            os.kill(pid, signal.SIGKILL)
        elif kind is Kind.RUN:
            self.victim.kill_run()
        elif kind is Kind.GROUP:
            self.victim.kill_group()
        else:
            self.server.kill()
            self.server.start()
            self._outliving += 1
        self.tally.kills[kind, event.stage if event.is_start else "idle"] += 1


def _tail(victim: Victim) -> str:
    return "\n".join(victim.output.read_text(errors="replace").splitlines()[-15:])
