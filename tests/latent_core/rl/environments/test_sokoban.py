"""Sokoban: the rules on pictured levels, and a solver that agrees with trying all sequences."""

from __future__ import annotations

from itertools import product

import pytest

from latent_core.rl.environments import find_environment
from latent_core.rl.environments.sokoban import (
    ACTIONS,
    Level,
    Position,
    Sokoban,
    moved,
    picture,
    read_level,
    solution,
)

PUSH_RIGHT = "#####\n#___#\n#PXO#\n#___#\n#####"
TWO_BOXES = "######\n#____#\n#PXO_#\n#____#\n#_XO_#\n######"


def _game(text: str, max_turns: int = 10) -> Sokoban:
    game = Sokoban(size=text.count("\n") + 1, longest=6, max_turns=max_turns)
    game.reset(0)
    game.set_up(*read_level(text))
    return game


def test_push_onto_the_target_solves_and_pays_ten_and_one_less_a_tenth() -> None:
    observation, reward, terminated, truncated, info = _game(PUSH_RIGHT).step("right")
    assert observation == "#####\n#___#\n#_P*#\n#___#\n#####"
    assert reward == pytest.approx(10.9) and terminated and not truncated and info["success"] is True


def test_box_pushed_off_a_target_costs_what_it_paid() -> None:
    game = _game(TWO_BOXES)
    rewards = [game.step("right")[1] for _ in range(2)]
    assert rewards == pytest.approx([0.9, -1.1])


def test_wall_and_blocked_box_are_illegal_and_cost_a_step() -> None:
    game = _game("#####\n#___#\n#OPX#\n#___#\n#####")
    assert game.step("up")[4]["legal"] == ("left", "down", "right")  # the upper wall
    game = _game("#####\n#___#\n#OPX#\n#___#\n#####")
    observation, reward, terminated, _, info = game.step("right")
    assert not info["valid"] and "right" not in info["legal"] and reward == -0.1 and not terminated
    assert observation.startswith("Illegal action. Legal actions: left, down, up\n")


def test_box_before_a_box_does_not_move() -> None:
    level, position = read_level("#####\n#PXX_\n#OO_#\n#___#\n#####")
    assert moved(level, position, "right") is None


def test_player_on_a_target_is_seen() -> None:
    game = _game("#####\n#___#\n#OP_#\n#_X_#\n#####")
    assert game.step("left")[0] == "#####\n#___#\n#S__#\n#_X_#\n#####"


def _by_trying(level: Level, start: Position, limit: int) -> int | None:
    """Length of the shortest solution among all sequences of moves."""
    for length in range(limit + 1):
        for moves in product(ACTIONS, repeat=length):
            position: Position | None = start
            for move in moves:
                position = position and moved(level, position, move)
            if position is not None and position.boxes == level.targets:
                return length
    return None


def test_solution_is_as_short_as_trying_all_sequences_finds() -> None:
    game = Sokoban(size=5, longest=6, max_turns=10)
    lengths = set()
    for seed in range(12):
        game.reset(seed)
        moves = solution(game.level, game.position, 10)
        assert moves is not None and len(moves) == _by_trying(game.level, game.position, 6)
        lengths.add(len(moves))
    assert len(lengths) > 2


def test_level_that_cannot_be_solved_has_no_solution() -> None:
    assert solution(*read_level("#####\n#X__#\n#PO_#\n#___#\n#####"), 30) is None


@pytest.mark.parametrize(("name", "longest"), [("sokoban", 15), ("sokoban_small", 6)])
def test_levels_are_solved_by_as_few_moves_as_promised_and_their_solution_attains_the_optimum(
    name: str, longest: int
) -> None:
    spec = find_environment(name)
    assert spec.optimum is not None
    for seed in range(60):  # among so many, one small level would take more moves if it were not refused
        game = spec.open()
        assert isinstance(game, Sokoban)
        observation, _ = game.reset(seed)
        assert read_level(observation) == (game.level, game.position)
        assert picture(game.level, game.position, game.size) == observation
        moves = solution(game.level, game.position, spec.max_turns)
        assert moves is not None and 1 <= len(moves) <= longest
        answers = [game.step(move) for move in moves]
        assert sum(answer[1] for answer in answers) == pytest.approx(spec.optimum(seed))
        assert answers[-1][2] and not any(answer[2] for answer in answers[:-1])
