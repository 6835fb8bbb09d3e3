"""Worked episodes of the documentation, as a page shows them: each action with its observation and reward.

python -m tests.support.episodes NAME SEED ACTION... prints one, with the comment that its page wants above it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from latent_core.rl.environments import open_environment

NOTE = re.compile(r"(?:episode|first turns): (\S+), seed (\d+)")


def transcript(name: str, seed: int, actions: Sequence[str]) -> str:
    """The game of `seed`: actions behind "> " at the start of each of their lines, then the reward and the observation.

    Raises RuntimeError for an action after the end.
    """
    environment = open_environment(name)
    observation, _ = environment.reset(seed)
    parts = [observation]
    for action in actions:
        observation, reward, terminated, truncated, _ = environment.step(action)
        ending = " (terminated)" if terminated else " (truncated)" if truncated else ""
        parts += ["> " + action.replace("\n", "\n> "), f"reward {round(reward, 6):g}{ending}", observation]
    return "\n".join(parts) + "\n"


def is_whole(text: str) -> bool:
    """Whether the transcript goes to the end of its game."""
    return re.search(r"^reward \S+ \(t(erminat|runcat)ed\)$", text, re.MULTILINE) is not None


def actions_of(text: str) -> list[str]:
    """The actions of a transcript."""
    return [
        "\n".join(line.removeprefix("> ") for line in action.splitlines())
        for action in re.findall(r"^> .*(?:\n> .*)*", text, re.MULTILINE)
    ]


if __name__ == "__main__":
    _, shown_name, shown_seed, *shown_actions = sys.argv
    shown = transcript(shown_name, int(shown_seed), shown_actions)
    kind = "episode" if is_whole(shown) else "first turns"
    print(f"<!-- {kind}: {shown_name}, seed {shown_seed} -->\n```text\n{shown}```")
