"""The worked episodes of the documentation come true: played again from their seed and actions, word for word."""

from __future__ import annotations

import re
from random import Random
from statistics import mean

import pytest

from latent_core.rl.environments import environment_names, find_environment, open_environment
from tests.support.episodes import NOTE, actions_of, is_whole, transcript
from tests.support.pages import ROOT, Block, all_blocks, prose

EPISODES = [(match, block) for block in all_blocks("text") if (match := NOTE.fullmatch(block.note))]


@pytest.mark.parametrize(("name", "block"), [(match[1], block) for match, block in EPISODES])
def test_worked_episode_is_answered_as_its_page_shows(name: str, block: Block) -> None:
    match = NOTE.fullmatch(block.note)
    assert match is not None
    assert transcript(name, int(match[2]), actions_of(block.text)) == block.text
    assert is_whole(block.text) == block.note.startswith("episode: ")


@pytest.mark.parametrize("name", environment_names())
def test_environment_has_a_worked_episode_and_its_turn_limit_in_the_documentation(name: str) -> None:
    """To make one: python -m tests.support.episodes NAME SEED ACTION..."""
    shown = {match[1] for match, _ in EPISODES}
    if name not in shown:  # the page of puzzles and tools has a form of its own, which its own test replays
        assert f"<!-- episode: {name} " in (ROOT / "docs" / "environments_reasoning.md").read_text(encoding="utf-8")
    row = next(
        line for line in prose(ROOT / "docs" / "environments.md").splitlines() if line.startswith(f"| `{name}` |")
    )
    assert f"| {find_environment(name).max_turns} |" in row


def _random_return(name: str, seed: int) -> float:
    """Return of one game of legal actions drawn at random."""
    random, environment = Random(seed), open_environment(name)
    _, info = environment.reset(seed)
    total, is_over = 0.0, False
    while not is_over:
        _, reward, terminated, truncated, info = environment.step(random.choice(info["legal"]))
        total, is_over = total + reward, terminated or truncated
    return total


LINES = re.findall(r"^\| `(\w+)` \| ([\d.-]+) \| ([\d.-]+) \|$", prose(ROOT / "docs" / "environments.md"), re.MULTILINE)


@pytest.mark.parametrize(("name", "optimum", "at_random"), LINES)
def test_reference_line_of_the_documentation_is_the_mean_over_its_seeds(
    name: str, optimum: str, at_random: str
) -> None:
    spec = find_environment(name)
    assert at_random == f"{mean(_random_return(name, seed) for seed in range(400)):.2f}"
    assert optimum == ("-" if spec.optimum is None else f"{mean(spec.optimum(seed) for seed in range(400)):.2f}")


def test_share_of_small_sokoban_levels_that_occur_in_training_is_the_documentations() -> None:
    environment = open_environment("sokoban_small")
    trained = {environment.reset(seed)[0] for seed in range(1000)}
    share = mean(environment.reset(seed)[0] in trained for seed in range(1000, 3000))
    assert f"{share * 100:.0f} % had a level that occurs" in prose(ROOT / "docs" / "environments.md")


def test_reference_lines_are_found() -> None:
    assert len(LINES) >= 7 and len(EPISODES) >= 7
