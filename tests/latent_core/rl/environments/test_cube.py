"""The 2×2 cube: known counts of states, another library's turns, and shortest solutions."""

from __future__ import annotations

from random import Random

import magiccube
import pytest
from magiccube.cube_base import Face

from latent_core.rl.environments import find_environment
from latent_core.rl.environments.cube import FACES, MAX_TURNS, SCRAMBLES, SOLVED, TURNS, Cube, solution, turned


def _distances(depth: int) -> dict[str, int]:
    """All states within `depth` turns of the solved cube, by breadth-first search from it."""
    found, edge = {SOLVED: 0}, [SOLVED]
    for distance in range(1, depth + 1):
        edge = [state for state in {turned(cube, turn) for cube in edge for turn in TURNS} if state not in found]
        found |= dict.fromkeys(edge, distance)
    return found


def test_number_of_states_at_each_distance_is_the_known_one() -> None:
    """Half-turn metric: Jaap Scherphuis, "Mini Cube, the 2x2x2 Rubik's Cube"."""
    distances = list(_distances(4).values())
    assert [distances.count(distance) for distance in range(5)] == [1, 9, 54, 321, 1847]


def _of_magiccube(cube: magiccube.Cube) -> str:
    """Its stickers in our order: each as the face that has its colour when the cube is solved."""
    solved, faces = magiccube.Cube(2), [Face[face] for face in FACES]
    owner = {solved.get_face_flat(face)[0]: face.name for face in faces}
    return "".join(owner[color] for face in faces for color in cube.get_face_flat(face))


def _by_face(stickers: str) -> str:
    return "".join(FACES[SOLVED.index(sticker) // 4] for sticker in stickers)


def test_turns_are_those_of_another_library() -> None:
    theirs, ours = magiccube.Cube(2), SOLVED
    for turn in ["R", "U", "F", "U'", "R2", "F'", "U2", "R'", "F2", "U", "R", "F"]:
        theirs.rotate(turn)
        ours = turned(ours, turn)
        assert _by_face(ours) == _of_magiccube(theirs)


@pytest.mark.parametrize("face", ["U", "R", "F"])
def test_turn_four_times_and_turn_with_its_inverse_change_nothing(face: str) -> None:
    cube = "".join(chr(65 + place) for place in range(24))
    assert turned(turned(cube, face), f"{face}'") == cube
    assert turned(turned(cube, f"{face}2"), f"{face}2") == cube
    assert turned(turned(cube, face), face) == turned(cube, f"{face}2") != cube


def test_solution_solves_in_as_few_turns_as_the_distance_from_solved() -> None:
    for cube, distance in list(_distances(4).items())[::23]:
        turns = solution(cube)
        assert len(turns) == distance
        for turn in turns:
            cube = turned(cube, turn)
        assert cube == SOLVED


def test_no_state_needs_more_than_eleven_turns() -> None:
    random = Random(0)
    cube = SOLVED
    for turn in random.choices(list(TURNS), k=40):
        cube = turned(cube, turn)
    turns = solution(cube)
    assert 7 < len(turns) <= MAX_TURNS
    for turn in turns:
        cube = turned(cube, turn)
    assert cube == SOLVED


def test_scrambles_are_never_solved_and_their_solution_attains_the_optimum() -> None:
    spec = find_environment("cube")
    assert spec.optimum is not None
    lengths = set()
    for seed in range(25):
        cube = Cube(MAX_TURNS)
        _, info = cube.reset(seed)
        turns = solution(info["state"])
        lengths.add(len(turns))
        answers = [cube.step(turn) for turn in turns]
        assert answers[-1][2] and answers[-1][4]["success"] is True
        assert sum(answer[1] for answer in answers) == pytest.approx(spec.optimum(seed))
    assert lengths == set(range(SCRAMBLES[0], SCRAMBLES[1] + 1))


def test_play_that_solves_nothing_is_worth_the_lowest_return() -> None:
    cube = Cube(MAX_TURNS)
    cube.reset(0)
    answers = [cube.step("no turn") for _ in range(MAX_TURNS)]
    assert answers[-1][3] and sum(answer[1] for answer in answers) == pytest.approx(find_environment("cube").lowest)


def test_observation_shows_a_turn_of_the_front() -> None:
    cube = Cube(MAX_TURNS)
    cube.reset(0)
    cube.stickers = turned(SOLVED, "F")
    assert cube._observation() == "U WW OO\nR WR WR\nF GG GG\nD RR YY\nL OY OY\nB BB BB"
