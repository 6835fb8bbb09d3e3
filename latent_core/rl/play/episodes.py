"""Episodes: what a model and an environment say to each other, as token ids, with what the actions were worth.

All open episodes of a call advance together, a turn at a time, in one call of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.generate.engine import Engine, Generation, Remembers, Request, item_seed
from latent_core.models.readable import ReadableModel
from latent_core.rl.environments import Environment, EnvironmentFailed, EnvironmentSpec, Info
from latent_core.rl.environments.protocol import falls_below
from latent_core.rl.play.dialogue import Dialogue
from latent_core.think_marks import THINK_OPEN

End = Literal["terminated", "truncated", "format", "context"]
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
SEPARATOR = "||"  # between the actions of one turn (RAGEN, arXiv 2504.20073)
HOW_TO_ACT = (
    "Reason first, then write your action between <answer> and </answer>; several actions of one turn are separated "
    f"by {SEPARATOR}."
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. `context` are the ids since the turn before's output (of the first, the whole prompt)."""

    context: tuple[int, ...]
    output: Generation
    actions: tuple[str, ...]
    """As the environment was given them; none where the format was wrong."""
    reward: float
    info: Info
    state: Hashable = None
    """The environment's state before the turn, where it tells one (an anchor of GiGPO)."""


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode of the instance `seed`; `sample` tells the members of its group apart."""

    seed: int
    sample: int
    turns: tuple[Turn, ...]
    end: End

    @property
    def total(self) -> float:
        """The return: the sum of all rewards, undiscounted."""
        return float(sum(turn.reward for turn in self.turns))

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self.turns[0].context

    @property
    def completion_ids(self) -> tuple[int, ...]:
        """Everything after the prompt: outputs and, between them, contexts."""
        return tuple(token for token, _ in self._completion())

    @property
    def env_mask(self) -> tuple[int, ...]:
        """Of `completion_ids`: 1 on what the model wrote, 0 on contexts."""
        return tuple(own for _, own in self._completion())

    @property
    def turn_ends(self) -> tuple[int, ...]:
        """Places in `completion_ids` of each turn's last own token; a turn without output has none."""
        ends, place = [], 0
        for index, turn in enumerate(self.turns):
            place += len(turn.output.token_ids) + (len(turn.context) if index else 0)
            if turn.output.token_ids:
                ends.append(place - 1)
        return tuple(ends)

    def _completion(self) -> Iterable[tuple[int, int]]:
        for index, turn in enumerate(self.turns):
            if index:
                yield from ((token, 0) for token in turn.context)
            yield from ((token, 1) for token in turn.output.token_ids)


def instruction_of(spec: EnvironmentSpec) -> str:
    """What stands before the first observation: the environment's own words, and how an action is written."""
    return spec.instruction if spec.takes_text else f"{spec.instruction} {HOW_TO_ACT}"


def parse_actions(text: str) -> tuple[str, ...] | None:
    """The actions of a turn, from what follows the reasoning; None where the format is wrong.

    Exactly one pair of answer marks, and at least one action between them that is not empty.
    """
    answers = _ANSWER.findall(text)
    if len(answers) != 1 or text.count("<answer>") != 1 or text.count("</answer>") != 1:
        return None
    actions = tuple(action for part in answers[0].split(SEPARATOR) if (action := part.strip()))
    return actions or None


@dataclass
class _Open:
    """An episode that is not over."""

    seed: int
    sample: int
    environment: Environment
    context: tuple[int, ...]
    turns: list[Turn] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    state: Hashable = None
    end: End | None = None


@dataclass
class _Group:
    """The open episodes of one instance. Once the environment fails in one of them, none of them makes another call:
    each could wait for a slow server as long as the first did."""

    members: list[_Open] = field(default_factory=list)
    failure: EnvironmentFailed | None = None

    @property
    def has_failed(self) -> bool:
        return self.failure is not None


class Played(NamedTuple):
    """Groups in the order of their seeds, None where the environment failed, and the last of its failures."""

    groups: list[list[Episode] | None]
    failure: EnvironmentFailed | None


class Watcher:
    """Is told what happens while episodes are played; this one does nothing with it."""

    def begins(self, seed: int, sample: int, observation: str) -> None:
        """An instance was opened."""

    def takes(self, seed: int, sample: int, turn: Turn, observation: str | None) -> None:
        """A turn was played; `observation` is None where the environment took no step."""


@dataclass(frozen=True)
class Player:
    """What plays: a model through an engine, in one environment. Raises InputError where play returns less than the
    environment's `lowest`.

    `format_penalty` is how far below the worst legal return an episode ends whose format is wrong; `most_turns` cuts
    episodes that go on, and is the environment's own limit unless it is given.
    """

    model: ReadableModel
    engine: Engine
    sampling: SamplingConfig
    spec: EnvironmentSpec
    dialogue: Dialogue
    context: int
    """Most ids of an episode, what was sampled included."""
    format_penalty: float = 0.1
    most_turns: int | None = None
    watcher: Watcher = field(default_factory=Watcher)

    def play(self, seeds: Sequence[int], *, samples: int, step: int, patience: int | None = None) -> Played:
        """`samples` episodes of every instance, in the order of `seeds`.

        Once more than `patience` groups have failed none makes another call, and all are None: each may have waited
        for a silent server as long as a call may take. The seed of a turn's completion follows from (sampling.seed,
        step, instance, turn, sample) and nothing else.
        """
        with self._remembering():
            return self._play(seeds, samples, step, len(seeds) if patience is None else patience)

    def _remembering(self) -> AbstractContextManager[None]:
        """Turns repeat all before them, and the members of a group their first prompt: keep what a batch may hold."""
        if isinstance(self.engine, Remembers):
            return self.engine.remembering(self.sampling.batch_tokens)
        return nullcontext()

    def _play(self, seeds: Sequence[int], samples: int, step: int, patience: int) -> Played:
        groups: list[_Group] = []

        def failures() -> list[EnvironmentFailed]:
            return [group.failure for group in groups if group.failure is not None]

        for seed in seeds:
            groups.append(self._begin_group(seed, samples))
            if len(failures()) > patience:
                return Played([None] * len(seeds), failures()[-1])
        turn = 0
        while waiting := [
            (one, group) for group in groups if not group.has_failed for one in group.members if one.end is None
        ]:
            self._check_room([one for one, _ in waiting])
            speaking = [(one, group) for one, group in waiting if one.end is None]
            requests = [
                Request(
                    (*one.ids, *one.context),
                    item_seed(self.sampling.seed, f"{step}/{one.seed}/{turn}", one.sample),
                )
                for one, _ in speaking
            ]
            for (one, group), output in zip(speaking, self._generate(requests), strict=True):
                if group.has_failed:
                    continue
                try:
                    self._advance(one, output)
                except EnvironmentFailed as error:
                    group.failure = error
                    if len(failures()) > patience:
                        return Played([None] * len(seeds), error)
            turn += 1
        found = [None if group.has_failed else [_closed(one) for one in group.members] for group in groups]
        return Played(found, failures()[-1] if failures() else None)

    def _begin_group(self, seed: int, samples: int) -> _Group:
        group = _Group()
        for sample in range(samples):
            environment = self.spec.open()
            try:
                group.members.append(self._begin(seed, sample, environment))
            except EnvironmentFailed as error:
                group.failure = error
                break
        return group

    def _begin(self, seed: int, sample: int, environment: Environment) -> _Open:
        observation, info = environment.reset(seed)
        self.watcher.begins(seed, sample, observation)
        return _Open(seed, sample, environment, self.dialogue.opening(observation), state=info.get("state"))

    def _check_room(self, waiting: Sequence[_Open]) -> None:
        """End the episodes whose context leaves no room for another output."""
        for one in waiting:
            if len(one.ids) + len(one.context) >= self.context:
                one.end = "context"
                if not one.turns:
                    one.turns.append(Turn(one.context, Generation((), "length"), (), 0.0, {}, one.state))

    def _generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One call for all; an output is as long as `max_new_tokens` and the context of its own episode allow."""
        if not requests:
            return []
        rooms = [self.context - len(request.prompt_ids) for request in requests]
        outputs = self.engine.generate(requests, self.sampling)
        return [_shortened(output, room) for output, room in zip(outputs, rooms, strict=True)]

    def _advance(self, one: _Open, output: Generation) -> None:
        """Take the turn that an output asks for. Raises EnvironmentFailed where the environment does not answer."""
        context = one.context
        one.ids += [*context, *output.token_ids]
        actions = self._actions(output)
        if actions is None:
            reward = self.spec.lowest - self.format_penalty - sum(turn.reward for turn in one.turns)
            one.turns.append(Turn(context, output, (), reward, {}, one.state))
            one.end = "format"
            self.watcher.takes(one.seed, one.sample, one.turns[-1], None)
            return
        taken, reward, observation, info = self._act(one, actions)
        self._check_lowest(sum(turn.reward for turn in one.turns) + reward)
        one.turns.append(Turn(context, output, tuple(taken), reward, info, one.state))
        one.state = info.get("state")
        self.watcher.takes(one.seed, one.sample, one.turns[-1], observation)
        limit = self.spec.max_turns if self.most_turns is None else self.most_turns
        if one.end is None and len(one.turns) >= limit:
            one.end = "truncated"
        if one.end is None:
            one.context = self.dialogue.reply(one.ids, observation, was_cut=output.finish_reason == "length")

    def _check_lowest(self, total: float) -> None:
        lowest = self.spec.lowest
        if falls_below(total, lowest):
            raise InputError(
                f"environment: {self.spec.name} has a return of {total:g}, so a broken answer would pay: it ends an "
                f"episode just below `lowest` of the spec, {lowest:g}; make `lowest` no more than any return"
            )

    def _act(self, one: _Open, actions: Sequence[str]) -> tuple[list[str], float, str, Info]:
        """Give the environment the turn's actions until it ends: those taken, their reward, and what it said last."""
        taken: list[str] = []
        said: list[str] = []
        total = 0.0
        info: Info = {}
        for action in actions:
            observation, reward, terminated, truncated, info = one.environment.step(action)
            taken.append(action)
            said.append(observation)
            total += reward
            if terminated or truncated:
                one.end = "terminated" if terminated else "truncated"
                break
        return taken, total, said[-1], info

    def _actions(self, output: Generation) -> tuple[str, ...] | None:
        """What the output asks the environment to do; None where its format is wrong."""
        family, ids = self.model.family, output.token_ids
        body = ids[:-1] if ids and ids[-1] in family.stop_ids else ids
        if output.finish_reason == "length":
            return None
        if self.spec.takes_text:
            return (f"{THINK_OPEN if family.thinks else ''}{self.model.decode(body)}",)
        if family.thinks:
            if family.think_end_id not in body:
                return None
            body = body[body.index(family.think_end_id) + 1 :]
        return parse_actions(self.model.decode(body))


def _closed(one: _Open) -> Episode:
    assert one.end is not None
    return Episode(one.seed, one.sample, tuple(one.turns), one.end)


def _shortened(output: Generation, room: int) -> Generation:
    if len(output.token_ids) <= room:
        return output
    logprobs = None if output.logprobs is None else output.logprobs[:room]
    return Generation(output.token_ids[:room], "length", logprobs)
