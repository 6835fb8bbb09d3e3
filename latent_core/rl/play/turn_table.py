"""Episodes as rows of a table, a turn each, and what they come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from latent_core.evaluation.statistics import bootstrap_mean
from latent_core.models.readable import ReadableModel
from latent_core.rl.play.episodes import Episode

if TYPE_CHECKING:
    import pyarrow as pa

_Episode = TypeVar("_Episode")
_SEED = 20_251_126  # of the bootstrap: the same episodes give the same interval


def turn_schema() -> pa.Schema:
    """Columns of a turn. `context_ids` are the ids since the turn before's output; `end`, of an episode's last turn
    only, says how it ended; `return` is the whole episode's."""
    import pyarrow as pa

    ints = pa.list_(pa.int32())
    return pa.schema(
        [
            ("seed", pa.int64()),
            ("sample", pa.int32()),
            ("turn", pa.int32()),
            ("context_ids", ints),
            ("output_ids", ints),
            ("said", pa.string()),
            ("wrote", pa.string()),
            ("actions", pa.list_(pa.string())),
            ("reward", pa.float64()),
            ("return", pa.float64()),
            ("tokens", pa.int32()),
            ("latent_tokens", pa.int32()),
            ("success", pa.bool_()),
            ("end", pa.string()),
        ]
    )


def turn_rows(episode: Episode, model: ReadableModel) -> Iterator[dict[str, Any]]:
    """The rows of `turn_schema` of one episode; `said` is the context's text, `wrote` the model's, latents decoded."""
    for place, turn in enumerate(episode.turns):
        is_last = place == len(episode.turns) - 1
        yield {
            "seed": episode.seed,
            "sample": episode.sample,
            "turn": place,
            "context_ids": list(turn.context),
            "output_ids": list(turn.output.token_ids),
            "said": model.decode(turn.context),
            "wrote": model.decode(turn.output.token_ids),
            "actions": list(turn.actions),
            "reward": turn.reward,
            "return": episode.total,
            "tokens": len(turn.output.token_ids),
            "latent_tokens": model.latent_count(turn.output.token_ids),
            "success": _is_won(episode) if is_last else None,
            "end": episode.end if is_last else None,
        }


def summary_of_play(groups: Iterable[Sequence[Episode]]) -> dict[str, Any]:
    """Measures of whole groups: mean return and success with 95 % intervals, lengths, and how episodes ended.

    The unit of the intervals is the instance: its episodes are not independent of each other.
    """
    found = list(groups)
    episodes = [episode for group in found for episode in group]
    if not episodes:
        return {"episodes": 0}
    turns = [len(turn.output.token_ids) for one in episodes for turn in one.turns]
    return {
        "episodes": len(episodes),
        "instances": len(found),
        "return": mean_over_instances(found, lambda one: one.total),
        "success": mean_over_instances(found, _is_won),
        "ends": dict(sorted(Counter(one.end for one in episodes).items())),
        "format_rate": 1 - sum(one.end == "format" for one in episodes) / len(episodes),
        "turns": float(np.mean([len(one.turns) for one in episodes])),
        "tokens_per_turn": float(np.mean(turns)),
    }


def mean_over_instances(groups: Iterable[Sequence[_Episode]], measure: Callable[[_Episode], float]) -> dict[str, float]:
    """Mean of the groups' means, with its 95 % interval. Raises ValueError for no group."""
    means = [float(np.mean([measure(episode) for episode in group])) for group in groups]
    return bootstrap_mean(means, seed=_SEED)._asdict()


def _is_won(episode: Episode) -> bool:
    return bool(episode.turns[-1].info.get("success", False))
