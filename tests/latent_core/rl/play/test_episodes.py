"""Episodes of a scripted model in a counting game: turns, ends, rewards and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.generate.engine import Generation, Request
from latent_core.models.readable import ReadableModel
from latent_core.rl.environments import EnvironmentFailed, EnvironmentSpec
from latent_core.rl.play.dialogue import Dialogue
from latent_core.rl.play.episodes import Player, parse_actions

END = "<|im_end|>"


class Counting:
    """Reach 3 by `up`; every `up` is worth 1."""

    def __init__(self) -> None:
        self.count = 0

    def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
        if seed == 13:
            raise EnvironmentFailed("no answer")
        self.count = seed
        return f"At {self.count}.", {"state": seed}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if action == "break":
            raise EnvironmentFailed("broken")
        moved = action == "up"
        self.count += moved
        return f"At {self.count}.", float(moved), self.count >= 3, False, {"valid": moved}


SPEC = EnvironmentSpec("counting", 1, "Count up.", 4, Counting, lowest=0.0)


class Scripted:
    """An engine that says what `lines` has for the requests' order; it keeps what it was asked."""

    def __init__(self, model: ReadableModel, *lines: Sequence[str]) -> None:
        self.model = model
        self.lines = list(lines)
        self.asked: list[list[Request]] = []

    def generate(self, requests: Sequence[Request], sampling: SamplingConfig, finished: Any = None) -> list[Generation]:
        self.asked.append(list(requests))
        said = self.lines[len(self.asked) - 1]
        assert len(said) == len(requests)
        return [Generation(tuple(self.model.encode(line)), "stop" if line.endswith(END) else "length") for line in said]

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def model(mini_dir: Path) -> ReadableModel:
    return ReadableModel.load(mini_dir)


def _player(model: ReadableModel, engine: Scripted, **settings: Any) -> Player:
    spec = settings.pop("spec", SPEC)
    defaults: dict[str, Any] = {"context": 1024}
    return Player(model, engine, SamplingConfig(), spec, Dialogue(model, spec.instruction), **defaults | settings)


def _act(*actions: str) -> str:
    return f"so</think>\n\n<answer>{' || '.join(actions)}</answer>{END}"


def test_episodes_advance_together_and_end_for_themselves(model: ReadableModel) -> None:
    engine = Scripted(model, [_act("up")] * 2, [_act("up"), _act("down", "up")])
    (group,) = _player(model, engine).play([1], samples=2, step=0).groups
    assert group is not None
    one, two = group
    assert [turn.actions for turn in two.turns] == [("up",), ("down", "up")]
    assert [turn.reward for turn in two.turns] == [1.0, 1.0]
    assert (one.total, one.end) == (2.0, "terminated") and (two.total, two.end) == (2.0, "terminated")


class Remembering(Scripted):
    """Notes how many tokens it may keep at each call, and what is left of that after play."""

    most_tokens: int | None = None

    @contextmanager
    def remembering(self, most_tokens: int) -> Iterator[None]:
        self.most_tokens = most_tokens
        try:
            yield
        finally:
            self.most_tokens = None

    def generate(self, requests: Sequence[Request], sampling: SamplingConfig, finished: Any = None) -> list[Generation]:
        assert self.most_tokens == sampling.batch_tokens
        return super().generate(requests, sampling, finished)


def test_engine_remembers_what_a_batch_may_hold_until_play_ends(model: ReadableModel) -> None:
    engine = Remembering(model, [_act("up")], [_act("up")])
    _player(model, engine).play([1], samples=1, step=0)
    assert len(engine.asked) == 2 and engine.most_tokens is None


def test_episode_that_is_over_is_not_asked_again(model: ReadableModel) -> None:
    engine = Scripted(model, [_act("up"), _act("down")], [_act("up")])
    first, second = _player(model, engine).play([2, 2], samples=1, step=0).groups
    assert first is not None and second is not None
    assert [len(first[0].turns), len(second[0].turns)] == [1, 2]


def test_episode_is_what_was_sampled_between_contexts_that_are_masked(model: ReadableModel) -> None:
    engine = Scripted(model, [_act("up")], [_act("up")])
    group = _player(model, engine).play([1], samples=1, step=0).groups[0]
    assert group is not None
    (episode,) = group
    prompts = [requests[0].prompt_ids for requests in engine.asked]
    outputs = [turn.output.token_ids for turn in episode.turns]
    assert episode.prompt_ids == prompts[0]
    assert prompts[1] == prompts[0] + outputs[0] + episode.turns[1].context
    assert episode.completion_ids == outputs[0] + episode.turns[1].context + outputs[1]
    own = [token for token, kept in zip(episode.completion_ids, episode.env_mask, strict=True) if kept]
    assert tuple(own) == outputs[0] + outputs[1]
    assert [episode.completion_ids[end] for end in episode.turn_ends] == [model.family.end_of_turn_id] * 2
    assert episode.turn_ends[-1] == len(episode.completion_ids) - 1


@pytest.mark.parametrize(
    "line", [f"so</think>\n\nup{END}", f"<answer>up</answer>{END}", "so</think>\n\n<answer>up</answer>", _act("")]
)
def test_wrong_format_takes_no_step_and_is_worth_less_than_any_legal_play(model: ReadableModel, line: str) -> None:
    group = _player(model, Scripted(model, [_act("up")], [line])).play([0], samples=1, step=0).groups[0]
    assert group is not None
    (episode,) = group
    assert episode.end == "format" and episode.turns[-1].actions == ()
    assert episode.total == pytest.approx(SPEC.lowest - 0.1)


def test_turn_limit_and_full_context_end_an_episode(model: ReadableModel) -> None:
    group = (
        _player(model, Scripted(model, [_act("down")], [_act("down")]), most_turns=2)
        .play([0], samples=1, step=0)
        .groups
    )
    assert group[0] is not None and (group[0][0].end, len(group[0][0].turns)) == ("truncated", 2)
    opening = len(Dialogue(model, SPEC.instruction).opening("At 0."))
    short = _player(model, Scripted(model, [_act("down")]), context=opening + 30).play([0], samples=1, step=0).groups[0]
    assert short is not None and short[0].end == "context" and len(short[0].turns) == 1
    none = _player(model, Scripted(model, [_act("down")]), context=opening).play([0], samples=1, step=0).groups[0]
    assert none is not None and [(turn.output.token_ids, turn.state) for turn in none[0].turns] == [((), 0)]


def test_output_longer_than_the_context_allows_is_a_cut_one(model: ReadableModel) -> None:
    opening = len(Dialogue(model, SPEC.instruction).opening("At 0."))
    group = _player(model, Scripted(model, [_act("up")]), context=opening + 3).play([0], samples=1, step=0).groups[0]
    assert group is not None and group[0].end == "format"
    assert len(group[0].turns[0].output.token_ids) == 3 and group[0].turns[0].output.finish_reason == "length"


def test_failed_environment_aborts_its_group_and_no_other(model: ReadableModel) -> None:
    engine = Scripted(model, [_act("break"), _act("up"), _act("up"), _act("up")])
    groups = _player(model, engine).play([0, 2, 13], samples=2, step=0).groups
    assert groups[0] is None and groups[2] is None
    assert groups[1] is not None and [episode.total for episode in groups[1]] == [1.0, 1.0]


def test_group_makes_no_more_calls_once_its_environment_has_failed(model: ReadableModel) -> None:
    calls: list[tuple[str, int]] = []

    class Counted(Counting):
        def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
            calls.append(("reset", seed))
            self.seed = seed
            return super().reset(seed)

        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            calls.append((action, self.seed))
            return super().step(action)

    spec = EnvironmentSpec("counted", 1, "Count up.", 4, Counted, lowest=0.0)
    engine = Scripted(model, [_act("up"), _act("break"), _act("up"), *[_act("up")] * 3])
    groups = _player(model, engine, spec=spec).play([13, 0, 2], samples=3, step=0).groups
    assert [group is None for group in groups] == [True, True, False]
    assert calls == [
        ("reset", 13),  # the first fails, and the others of its group do not begin
        *[("reset", 0)] * 3,
        *[("reset", 2)] * 3,
        ("up", 0),
        ("break", 0),  # the third of the group takes no step
        *[("up", 2)] * 3,
    ]


def test_play_below_the_lowest_return_that_a_spec_names_is_refused(model: ReadableModel) -> None:
    """A spec that leaves it out says 0: a broken answer would be worth more than the play that lost 1."""

    class Costly(Counting):
        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            observation, reward, *rest = super().step(action)
            return (observation, reward - 1.5, *rest)  # type: ignore[return-value]

    spec = EnvironmentSpec("costly", 1, "Count up.", 4, Costly)
    with pytest.raises(InputError, match=r"^environment: costly has a return of -0\.5, so .* spec, 0;"):
        _player(model, Scripted(model, [_act("up")]), spec=spec).play([0], samples=1, step=0)
    (found,) = (
        _player(model, Scripted(model, [_act("up")]), spec=replace(spec, lowest=-0.5), most_turns=1)
        .play([0], samples=1, step=0)
        .groups
    )
    assert found is not None and found[0].total == -0.5


def test_silent_environment_is_not_asked_again_once_patience_is_at_its_end(model: ReadableModel) -> None:
    begun: list[int] = []

    class Silent(Counting):
        def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
            begun.append(seed)
            raise EnvironmentFailed(f"nothing from {seed}")

    spec = EnvironmentSpec("silent", 1, "Count up.", 4, Silent)
    played = _player(model, Scripted(model), spec=spec).play(range(9), samples=2, step=0, patience=2)
    assert begun == [0, 1, 2] and played.groups == [None] * 9 and str(played.failure) == "nothing from 2"
    begun.clear()
    assert _player(model, Scripted(model), spec=spec).play([3, 4], samples=2, step=0).groups == [None] * 2
    assert begun == [3, 4]


def test_patience_that_ends_in_the_middle_of_episodes_leaves_none(model: ReadableModel) -> None:
    engine = Scripted(model, [_act("break"), _act("break"), _act("up")])
    played = _player(model, engine).play([0, 1, 2], samples=1, step=0, patience=1)
    assert played.groups == [None] * 3 and str(played.failure) == "broken"


def test_seeds_follow_from_step_instance_turn_and_sample_alone(model: ReadableModel) -> None:
    def seeds(instances: Sequence[int], step: int) -> list[list[int]]:
        lines = [[_act("down")] * len(instances) * 2] * 2
        engine = Scripted(model, *lines)
        _player(model, engine, most_turns=2).play(instances, samples=2, step=step)
        return [[request.seed for request in requests] for requests in engine.asked]

    together, alone = seeds([0, 1], step=5), seeds([1], step=5)
    assert [turn[2:] for turn in together] == alone
    assert len({seed for turn in together for seed in turn}) == 8
    assert seeds([1], step=6) != alone


def test_free_text_is_the_action_with_the_think_mark_in_front(model: ReadableModel) -> None:
    heard: list[str] = []

    class Listening(Counting):
        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            heard.append(action)
            return "", 1.0, True, False, {}

    spec = EnvironmentSpec("listening", 1, "Say.", 1, Listening, takes_text=True, lowest=0.0)
    _player(model, Scripted(model, [f"so</think>\n\n4{END}"]), spec=spec).play([0], samples=1, step=0)
    assert heard == ["<think>so</think>\n\n4"]


def test_actions_are_what_lies_between_one_pair_of_marks() -> None:
    assert parse_actions("\n\n<answer> a || b||  </answer> ") == ("a", "b")
    for wrong in ("", "a", "<answer></answer>", "<answer>a", "<answer>a</answer><answer>b</answer>"):
        assert parse_actions(wrong) is None
