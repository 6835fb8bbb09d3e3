"""The phase machine for a serving engine's batch: rows that come, go and move, each with options of its own.

Free of any engine's types, so that it is tested without one; `constraint` and `constraint_v2` bind it to
vLLM's two interfaces. What a request may say, under vLLM's `extra_args` (HTTP: `vllm_xargs`), 0 and 1 being bools:

    dual_vocab    bool   whether the constraint holds for this request; default yes. Off means visible ids only
    eos_in_think  bool   whether the completion may end while thinking
    end_bias      float  added to the closing think token's logit while thinking; belongs in every report

The engine sets the defaults of the last two: `additional_config={"dual_vocab": {"eos_in_think": true}}`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError

UNKNOWN = -1
"""What vLLM writes for a token that is sampled but not yet copied from the device."""
THINK_WITH_EOS = len(Phase)
"""A row of `ConstraintTables.forbidden` beside those of `Phase`: THINK of a request that may end while thinking."""

_NEVER_READ = -2  # no length is one more than this, a prompt of one token included


@dataclass(frozen=True)
class RequestOptions:
    """What one request asks of the constraint."""

    dual: bool = True
    eos_in_think: bool = False
    end_bias: float = 0.0

    def updated(self, given: Mapping[str, Any] | None, where: str = "extra_args") -> RequestOptions:
        """These options with what `given` says about them; other keys are not ours and are left alone.

        Raises `InputError` for a value of the wrong type.
        """
        given = given or {}
        options = self
        if "dual_vocab" in given:
            options = replace(options, dual=_as_bool(given["dual_vocab"], f"{where}.dual_vocab"))
        if "eos_in_think" in given:
            options = replace(options, eos_in_think=_as_bool(given["eos_in_think"], f"{where}.eos_in_think"))
        if "end_bias" in given:
            options = replace(options, end_bias=_as_float(given["end_bias"], f"{where}.end_bias"))
        return options


def engine_defaults(additional_config: object) -> RequestOptions:
    """The engine's defaults from vLLM's `additional_config`. Raises `InputError` on keys or values it cannot mean."""
    section = additional_config.get("dual_vocab", {}) if isinstance(additional_config, Mapping) else {}
    where = "additional_config.dual_vocab"
    if not isinstance(section, Mapping):
        raise InputError(f"{where} is {section!r}: give an object with eos_in_think and/or end_bias")
    unknown = sorted(set(section) - {"eos_in_think", "end_bias"})
    if unknown:
        raise InputError(f"{where} has unknown keys {unknown}: it takes eos_in_think and end_bias")
    return RequestOptions().updated(section, where)


class ConstraintTables:
    """Forbidden ids by row kind, and the bias, of one vocabulary on one device."""

    def __init__(self, vocabulary: DualVocabulary, device: torch.device | str, stop_ids: tuple[int, ...] = ()) -> None:
        self.machine = PhaseMachine(vocabulary, stop_ids=stop_ids)
        with_eos = PhaseMachine(vocabulary, eos_in_think=True, stop_ids=stop_ids).allowed[Phase.THINK]
        allowed = np.concatenate([self.machine.allowed, with_eos[None]])
        self.forbidden = torch.from_numpy(~allowed).to(device)
        """Bool, shape (5, V+L): a row for each `Phase`, then `THINK_WITH_EOS`."""

    @property
    def size(self) -> int:
        return self.machine.vocabulary.size

    @property
    def think_end_id(self) -> int:
        return self.machine.vocabulary.think_end_id

    def check_width(self, logits: torch.Tensor) -> None:
        if logits.shape[-1] != self.size:
            raise InputError(f"the model scores {logits.shape[-1]} ids, its dual vocabulary {self.size}: load the pair")


class _Row:
    """One request: its phase after the tokens read so far. `output` is the engine's own list, which grows."""

    def __init__(self, machine: PhaseMachine, options: RequestOptions, prompt: Sequence[int], output: list[int]):
        self.options = options
        self.output = output
        self._machine = machine
        self._think_ids = machine.vocabulary.think_ids
        self._first = machine.phase_of_prompt(list(prompt)) if options.dual else Phase.PLAIN
        self._phase = self._first
        self._read = 0

    def read(self) -> bool:
        """Take in new output tokens; whether the phase changed. A list that shrank is read again from its start."""
        output, read, before = self.output, self._read, self._phase
        if len(output) < read:
            self._phase, read = self._first, 0
        # Called for every row at every step, nearly always for one token that moves nothing.
        while read < len(output) and (token := output[read]) != UNKNOWN:
            if token in self._think_ids:
                self._phase = self._machine.advance(self._phase, token)
            read += 1
        self._read = read
        return self._phase is not before

    @property
    def kind(self) -> int:
        if self._phase is Phase.THINK and self.options.eos_in_think:
            return THINK_WITH_EOS
        return int(self._phase)

    @property
    def bias(self) -> float:
        return self.options.end_bias if self._phase is Phase.THINK else 0.0


class BatchConstraint:
    """The constraint over a persistent batch whose rows are added, removed, moved and swapped by index.

    Tokens are read from the requests' live output lists when the mask is applied, never earlier: under asynchronous
    scheduling the newest is only known then. The mask is rebuilt when a phase or the batch changed.
    """

    def __init__(self, tables: ConstraintTables) -> None:
        self.tables = tables
        self.rebuilt = 0  # mask rows computed so far: the cost of the constraint beyond reading tokens
        self._rows: dict[int, _Row] = {}
        self._mask: torch.Tensor | None = None
        self._bias: torch.Tensor | None = None
        self._stale = True

    def add(self, index: int, options: RequestOptions, prompt: Sequence[int], output: list[int]) -> None:
        """A request takes row `index`, replacing what was there; `output` may hold tokens already (preemption)."""
        self._rows[index] = _Row(self.tables.machine, options, prompt, output)
        self._stale = True

    def remove(self, index: int) -> None:
        self._stale |= self._rows.pop(index, None) is not None

    def move(self, source: int, target: int) -> None:
        """The row at `source` goes to `target`, replacing what was there."""
        row = self._rows.pop(source, None)
        self._rows.pop(target, None)
        if row is not None:
            self._rows[target] = row
        self._stale = True

    def swap(self, one: int, other: int) -> None:
        first, second = self._rows.pop(one, None), self._rows.pop(other, None)
        if first is not None:
            self._rows[other] = first
        if second is not None:
            self._rows[one] = second
        self._stale = True

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits`, shape (rows, V+L), masked in place. Raises `InputError` when its width is not the vocabulary's."""
        if not self._rows:
            return logits
        self.tables.check_width(logits)
        moved = [index for index, row in self._rows.items() if row.read()]
        if self._stale or self._mask is None or self._mask.shape[0] != logits.shape[0]:
            self._rebuild(logits.shape[0], logits.device)
        elif moved:
            self._renew(moved)
        assert self._mask is not None
        if self._bias is not None:
            logits[:, self.tables.think_end_id] += self._bias.to(logits.dtype)
        return logits.masked_fill_(self._mask, float("-inf"))

    def _rebuild(self, rows: int, device: torch.device) -> None:
        self._mask = self._forbidden(range(rows)).to(device)
        self._renew_bias(rows, device)
        self._stale = False

    def _renew(self, moved: Sequence[int]) -> None:
        """Only the rows whose phase changed: a mask of a full batch is as large as its logits."""
        assert self._mask is not None
        self._mask[torch.tensor(moved, device=self._mask.device)] = self._forbidden(moved).to(self._mask.device)
        self._renew_bias(self._mask.shape[0], self._mask.device)

    def _forbidden(self, indices: Iterable[int]) -> torch.Tensor:
        kinds = torch.tensor([self._kind(index) for index in indices], device=self.tables.forbidden.device)
        self.rebuilt += len(kinds)
        return self.tables.forbidden.index_select(0, kinds)

    def _renew_bias(self, rows: int, device: torch.device) -> None:
        biases = [self._rows[index].bias if index in self._rows else 0.0 for index in range(rows)]
        self._bias = torch.tensor(biases, device=device) if any(biases) else None

    def _kind(self, index: int) -> int:
        # A row without a request (padding of the batch) is not sampled from; what its mask says does not matter.
        return self._rows[index].kind if index in self._rows else int(Phase.PLAIN)


class SlotConstraint:
    """The constraint over request slots whose tokens lie on the device (vLLM's Model Runner V2).

    A slot's phase is kept on the device and moved by the token fed to each row; a slot that is new, or whose length
    did not grow by one since the last step, is read again from its committed tokens. Lengths are known on the host, so
    a step waits for nothing. No speculative decoding: one row a request.
    """

    def __init__(self, tables: ConstraintTables, slots: int, device: torch.device | str) -> None:
        self.tables = tables
        self._phases = torch.full((slots,), int(Phase.PLAIN), dtype=torch.long, device=device)
        self._options = [RequestOptions(dual=False)] * slots
        self._lengths = np.full(slots, _NEVER_READ, dtype=np.int64)
        self._dual = torch.zeros(slots, dtype=torch.bool, device=device)
        self._think_kind = torch.full((slots,), int(Phase.THINK), dtype=torch.long, device=device)
        self._bias = torch.zeros(slots, device=device)
        self._any_bias = False
        self._staged: set[int] = set()

    def add(self, slot: int, options: RequestOptions) -> None:
        """A request takes a slot; call `flush` before the next `apply`."""
        self._options[slot] = options
        self._lengths[slot] = _NEVER_READ
        self._staged.add(slot)

    def flush(self) -> None:
        """Copy the options of newly taken slots to the device."""
        if not self._staged:
            return
        slots = sorted(self._staged)
        options = [self._options[slot] for slot in slots]
        device = self._phases.device
        index = torch.tensor(slots, device=device)
        kinds = [THINK_WITH_EOS if option.eos_in_think else int(Phase.THINK) for option in options]
        self._dual[index] = torch.tensor([option.dual for option in options], device=device)
        self._think_kind[index] = torch.tensor(kinds, device=device)
        self._bias[index] = torch.tensor([option.end_bias for option in options], device=device)
        self._any_bias = any(option.end_bias for option in self._options)
        self._staged.clear()

    def apply(
        self,
        logits: torch.Tensor,
        slots: torch.Tensor,
        slots_on_host: npt.NDArray[np.integer[Any]],
        fed: torch.Tensor,
        lengths: npt.NDArray[np.integer[Any]],
        committed: torch.Tensor,
    ) -> torch.Tensor:
        """`logits`, shape (rows, V+L), masked in place.

        `slots` and `slots_on_host`, shape (rows,), name each row's slot; `fed`, shape (rows,), is the token at each
        row's position; `lengths`, shape (rows,), counts the tokens up to and with it; `committed`, shape (slots, any),
        holds the tokens of every slot. Raises `InputError` for a wrong width or more rows than requests.
        """
        self.tables.check_width(logits)
        if logits.shape[0] != len(slots_on_host):
            raise InputError(
                "the dual vocabulary's constraint takes one row a request: switch speculative decoding off"
            )
        grown = self._lengths[slots_on_host] + 1 == lengths
        jumped = np.flatnonzero(~grown)
        if jumped.size:
            self._read_again(slots_on_host[jumped], lengths[jumped], committed)
        start, end = self.tables.machine.vocabulary.think_ids
        phases = self._phases[slots]
        phases = torch.where(fed == start, int(Phase.THINK), phases)
        phases = torch.where(fed == end, int(Phase.ANSWER), phases)
        self._phases[slots] = phases
        self._lengths[slots_on_host] = lengths
        thinks = (phases == int(Phase.THINK)) & self._dual[slots]
        kinds = torch.where(thinks, self._think_kind[slots], phases)
        kinds = torch.where(self._dual[slots], kinds, int(Phase.PLAIN))
        if self._any_bias:
            logits[:, self.tables.think_end_id] += (self._bias[slots] * thinks).to(logits.dtype)
        return logits.masked_fill_(self.tables.forbidden.index_select(0, kinds), float("-inf"))

    def _read_again(
        self, slots: npt.NDArray[np.integer[Any]], lengths: npt.NDArray[np.integer[Any]], committed: torch.Tensor
    ) -> None:
        device = self._phases.device
        index = torch.from_numpy(slots.astype(np.int64)).to(device)
        length = torch.from_numpy(lengths.astype(np.int64)).to(device)
        ids = committed[index, : int(lengths.max())]
        start, end = self.tables.machine.vocabulary.think_ids
        positions = torch.arange(ids.shape[1], device=device)
        is_event = ((ids == start) | (ids == end)) & (positions < length[:, None])
        last = torch.where(is_event, positions, -1).amax(dim=1)
        token = ids.gather(1, last.clamp(min=0)[:, None]).squeeze(1)
        phases = torch.where(token == start, int(Phase.THINK), int(Phase.ANSWER))
        self._phases[index] = torch.where(last < 0, int(Phase.START), phases)


def _as_bool(value: object, name: str) -> bool:
    if isinstance(value, bool) or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    raise InputError(f"{name} is {value!r}: give true or false")


def _as_float(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} is {value!r}: give a finite number")
    return float(value)
