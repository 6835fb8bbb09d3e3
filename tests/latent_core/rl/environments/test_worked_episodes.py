"""The worked episodes of the documentation are what the environments do."""

from __future__ import annotations

import re

import pytest

from latent_core.rl.environments import open_environment
from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "environments_reasoning.md"
EPISODE = re.compile(r"<!-- episode: (\S+) (\d+) -->\n```text\n(.*?)\n```\n(?=\n|\Z)", re.DOTALL)
EPISODES = EPISODE.findall(PAGE.read_text(encoding="utf-8"))


def test_page_has_an_episode_of_every_environment() -> None:
    assert {name for name, *_ in EPISODES} == {"code", "countdown", "metamathqa", "search_qa", "static", "sudoku"}


@pytest.mark.parametrize(("name", "seed", "text"), EPISODES, ids=[name for name, *_ in EPISODES])
def test_episode_of_the_page_is_played_the_same(name: str, seed: str, text: str) -> None:
    environment = open_environment(name)
    observation, _ = environment.reset(int(seed))
    played = [observation]
    actions = re.findall(r"(?:^> .*\n)+", text, re.MULTILINE)
    for action in actions:
        lines = action.splitlines()
        observation, reward, terminated, truncated, _ = environment.step("\n".join(line[2:] for line in lines))
        end = " terminated" if terminated else " truncated" if truncated else ""
        played += [*lines, observation, f"= {reward:g}{end}"]
    assert actions and "\n".join(played) == text
