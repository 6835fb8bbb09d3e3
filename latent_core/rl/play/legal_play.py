"""Random play as training examples: how a turn is written, for a model that has never seen the environment."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from latent_core.dual.remap import IGNORED, RemapCounts, remap_row
from latent_core.errors import InputError
from latent_core.models.readable import ReadableModel
from latent_core.prompts import render_reasoning
from latent_core.rl.environments import EnvironmentFailed, EnvironmentSpec
from latent_core.rl.play.dialogue import Dialogue
from latent_core.rl.play.episodes import instruction_of
from latent_core.rl.play.patience import Patience
from latent_core.rl.play.random_play import choices


def legal_play(
    spec: EnvironmentSpec,
    model: ReadableModel,
    seeds: Sequence[int],
    *,
    seed: int,
    max_length: int,
    accounting: Counter[str],
    patience: Patience,
) -> Iterator[dict[str, Any]]:
    """One row of `input_ids` and `labels` (-100 on what the environment says) for an episode of each of `seeds`.

    The reasoning of a turn names the action and gives no reason; that of a dual model is latent. `accounting` counts
    every episode as kept, too_long or aborted, where the environment failed.

    Raises InputError for an environment that cannot be played at random, or one that takes whole texts, and
    EnvironmentFailed where more episodes fail than `patience` has.
    """
    if spec.takes_text:
        raise InputError(f"environment: {spec.name} takes whole texts, so there is no format to learn; leave it out")
    dialogue = Dialogue(model, instruction_of(spec))
    for instance in seeds:
        try:
            example = _episode(spec, model, dialogue, instance, random.Random(f"{seed}/{instance}"))
        except EnvironmentFailed as error:
            accounting["aborted"] += 1
            patience.spend(1, error)
            continue
        accounting["kept" if len(example["input_ids"]) <= max_length else "too_long"] += 1
        if len(example["input_ids"]) <= max_length:
            yield example


def _episode(
    spec: EnvironmentSpec, model: ReadableModel, dialogue: Dialogue, instance: int, choice: random.Random
) -> dict[str, Any]:
    environment = spec.open()
    observation, info = environment.reset(instance)
    ids, labels = array("i", dialogue.opening(observation)), array("i")
    labels.extend([IGNORED] * len(ids))
    for turn in range(spec.max_turns):
        action = choice.choice(choices(spec, info, instance))
        # A server may list any text as a legal action.
        said = model.encode_around(lambda action: _words(action, model), action)
        ids.extend(said)
        labels.extend(said)
        observation, _, terminated, truncated, info = environment.step(action)
        if terminated or truncated or turn == spec.max_turns - 1:
            break
        context = dialogue.reply(ids, observation, was_cut=False)
        ids.extend(context)
        labels.extend([IGNORED] * len(context))
    if model.vocabulary is None:
        return {"input_ids": ids, "labels": labels}
    pair = remap_row(ids, labels, model.vocabulary, RemapCounts())
    assert pair is not None  # every turn opens and closes its reasoning
    return {"input_ids": array("i", pair[0]), "labels": array("i", pair[1])}


def _words(action: str, model: ReadableModel) -> str:
    """A turn that takes an action, as the model would write it after its context."""
    family = model.family
    thought = f"{render_reasoning(f'I take {action}.')}{family.think_end}\n\n" if family.thinks else ""
    return f"{family.header}{thought}<answer>{action}</answer>{family.end_of_turn}"
