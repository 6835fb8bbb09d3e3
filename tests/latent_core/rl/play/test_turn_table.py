"""What played episodes come to together."""

from __future__ import annotations

from latent_core.generate.engine import Generation
from latent_core.rl.play.episodes import End, Episode, Turn
from latent_core.rl.play.turn_table import summary_of_play


def _episode(seed: int, sample: int, reward: float, end: End) -> Episode:
    output = Generation((5, 6), "stop", None)
    info = {"success": reward > 0} if end == "terminated" else {}
    return Episode(seed, sample, (Turn((1,), output, ("up",), 0.0, {}), Turn((2,), output, (), reward, info)), end)


def test_intervals_count_instances_since_the_episodes_of_one_are_alike() -> None:
    one = [[_episode(0, sample, 1.0, "terminated") for sample in range(50)]]
    two = [*one, [_episode(1, sample, 0.0, "truncated") for sample in range(50)]]
    found = summary_of_play(two)
    assert (found["episodes"], found["instances"], found["ends"]) == (100, 2, {"terminated": 50, "truncated": 50})
    assert found["success"] == found["return"] == {"value": 0.5, "low": 0.0, "high": 1.0}
    assert (found["turns"], found["tokens_per_turn"], found["format_rate"]) == (2, 2, 1)


def test_episode_in_a_wrong_format_was_not_won() -> None:
    found = summary_of_play([[_episode(0, 0, 1.0, "terminated"), _episode(0, 1, -0.1, "format")]])
    assert found["success"]["value"] == found["format_rate"] == 0.5
    assert summary_of_play([]) == {"episodes": 0}
