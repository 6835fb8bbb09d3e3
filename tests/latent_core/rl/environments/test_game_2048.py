"""2048: merges as the game has them, points, new tiles and the end."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from latent_core.rl.environments.game_2048 import ACTIONS, MAX_TURNS, Board, Game2048, moved, slid


@pytest.mark.parametrize(
    ("row", "after", "points"),
    [
        ((0, 2, 0, 2), (4, 0, 0, 0), 4),
        ((2, 2, 2, 0), (4, 2, 0, 0), 4),
        ((2, 2, 2, 2), (4, 4, 0, 0), 8),
        ((4, 2, 2, 0), (4, 4, 0, 0), 4),
        ((2, 2, 4, 0), (4, 4, 0, 0), 4),
        ((2, 4, 2, 4), (2, 4, 2, 4), 0),
        ((0, 0, 0, 8), (8, 0, 0, 0), 0),
    ],
)
def test_row_slides_and_each_tile_merges_once(row: tuple[int, ...], after: tuple[int, ...], points: int) -> None:
    assert slid(row) == (after, points)


BOARD: Board = ((2, 0, 0, 2), (0, 0, 0, 0), (0, 0, 0, 0), (2, 0, 0, 4))


@pytest.mark.parametrize(
    ("action", "after", "points"),
    [
        ("left", ((4, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (2, 4, 0, 0)), 4),
        ("right", ((0, 0, 0, 4), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 2, 4)), 4),
        ("up", ((4, 0, 0, 2), (0, 0, 0, 4), (0, 0, 0, 0), (0, 0, 0, 0)), 4),
        ("down", ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 2), (4, 0, 0, 4)), 4),
    ],
)
def test_board_moves_in_each_direction(action: str, after: Board, points: int) -> None:
    assert moved(BOARD, action) == (after, points)


def test_move_adds_one_tile_and_pays_the_points() -> None:
    game, random = Game2048(MAX_TURNS), Random(0)
    _, info = game.reset(0)
    is_over = False
    while not is_over:
        action = random.choice(info["legal"])
        slid_board, points = moved(game.board, action)
        _, reward, terminated, truncated, info = game.step(action)
        changed = [
            new
            for old_row, new_row in zip(slid_board, game.board, strict=True)
            for old, new in zip(old_row, new_row, strict=True)
            if old != new
        ]
        assert reward == points and len(changed) == 1 and changed[0] in (2, 4)
        is_over = terminated or truncated


def test_new_tiles_are_a_four_in_one_case_of_ten_and_everywhere_alike() -> None:
    places: Counter[int] = Counter()
    tiles: Counter[int] = Counter()
    for seed in range(1000):
        game = Game2048(MAX_TURNS)
        game.reset(seed)
        flat = [tile for row in game.board for tile in row]
        places.update(place for place, tile in enumerate(flat) if tile)
        tiles.update(tile for tile in flat if tile)
    assert set(tiles) == {2, 4} and 150 < tiles[4] < 250
    assert len(places) == 16 and all(80 < count < 170 for count in places.values())


def test_move_that_changes_nothing_is_illegal_and_adds_no_tile() -> None:
    game = Game2048(MAX_TURNS)
    game.reset(0)
    game.board = ((2, 0, 0, 0), (4, 0, 0, 0), (2, 0, 0, 0), (4, 0, 0, 0))
    observation, reward, terminated, _, info = game.step("left")
    assert not info["valid"] and info["legal"] == ("right",) and reward == 0 and not terminated
    assert observation == "Illegal action. Legal actions: right\n2 _ _ _\n4 _ _ _\n2 _ _ _\n4 _ _ _"


def test_full_board_without_equal_neighbours_ends_the_game() -> None:
    game = Game2048(MAX_TURNS)
    game.reset(0)
    game.board = ((8, 16, 8, 16), (16, 8, 16, 8), (8, 16, 8, 16), (0, 32, 64, 128))
    _, _, terminated, truncated, info = game.step("left")
    assert terminated and not truncated and info["legal"] == () and "success" not in info
    assert all(moved(game.board, action)[0] == game.board for action in ACTIONS)
