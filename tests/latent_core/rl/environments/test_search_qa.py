"""Answering by searching: the sample's questions can be found out, scores are the field's, files are checked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl.environments import Environment, find_environment, open_environment
from latent_core.rl.environments.search_qa import exact_match, f1
from latent_core.rl.environments.search_qa_sample import sample_world


def _searched(environment: Environment, query: str, pattern: str) -> str:
    """The group of a pattern in the passages that a search shows."""
    observation, reward, terminated, truncated, info = environment.step(f"search[{query}]")
    assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, True)
    found = re.search(pattern, observation)
    assert found, observation
    return found[1]


def test_every_question_about_an_author_is_answered_by_searching_hop_by_hop() -> None:
    environment = open_environment("search_qa")
    answered = 0
    for seed in range(len(sample_world().questions)):
        question, _ = environment.reset(seed)
        hops = re.fullmatch(r"Question: In which country was the author of (.+) born\?", question)
        if hops is None:
            continue
        author = _searched(environment, f"novel {hops[1]}", rf"{hops[1]} is a novel by ([\w ]+)\.")
        town = _searched(environment, author, rf"{author} was a \w+, born in \d+ in (\w+)\.")
        country = _searched(environment, f"town {town}", rf"{town} is a town in (\w+)\.")
        _, reward, terminated, truncated, info = environment.step(f"answer[{country}]")
        assert (reward, terminated, truncated) == (1.0, True, False)
        assert info["success"] and info["f1"] == 1.0
        answered += 1
    assert answered == 60


def test_sample_names_every_thing_once_and_its_questions_differ() -> None:
    world = sample_world()
    assert len({passage.title for passage in world.passages}) == len(world.passages) == 152
    assert len({question.text for question in world.questions}) == len(world.questions)
    assert {question.answers for question in world.questions} > {(passage.title,) for passage in world.passages[:8]}


def test_wrong_answer_ends_the_game_without_reward_and_partly_right_words_count_in_f1() -> None:
    environment = open_environment("search_qa")
    environment.reset(0)
    gold = sample_world().questions[0].answers[0]
    observation, reward, terminated, _, info = environment.step(f"answer[it is {gold}]")
    assert (observation, reward, terminated, info["success"]) == ("This is not the right answer.", 0.0, True, False)
    assert info["f1"] == pytest.approx(2 / (3 + 1))


def test_searching_to_the_end_truncates() -> None:
    spec = find_environment("search_qa")
    environment = spec.open()
    environment.reset(0)
    ends = [environment.step("Search[ Market ]") for _ in range(spec.max_turns)]
    assert [end[3] for end in ends] == [False] * (spec.max_turns - 1) + [True]
    assert ends[0][0].count("\n") == 3 and ends[0][0].endswith("Actions left: 5.") and "no actions left" in ends[-1][0]
    assert ends[-1][4]["success"] is False


def test_search_without_a_known_word_finds_nothing_and_state_is_what_was_seen() -> None:
    environment = open_environment("search_qa")
    assert environment.reset(0)[1]["state"] == ()
    observation, *_, info = environment.step("search[zzzz]")
    assert observation.startswith("No passage was found.") and info["state"] == ()
    town = environment.step("search[market]")[4]["state"]
    assert len(town) == 3 and environment.step("search[market market]")[4]["state"] == town


def test_scores_follow_the_normalisation_of_squad() -> None:
    assert exact_match("  The Silver-Bell! ", ["silverbell"]) and not exact_match("silver", ["silverbell"])
    assert exact_match("b", ["a b", "c"])  # a is an article
    assert f1("the red house", ["red house by the sea"]) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert f1("x", ["y", "x z"]) == pytest.approx(2 / 3) and f1("", ["x"]) == 0


@settings(max_examples=25)
@given(
    actions=st.lists(
        st.text(max_size=30) | st.text("search[answer] \n", max_size=30) | st.builds("search[{}]".format, st.text()),
        min_size=1,
        max_size=6,
    )
)
def test_any_text_is_an_action(actions: list[str]) -> None:
    spec = find_environment("search_qa")
    environment = spec.open()
    environment.reset(3)
    for turn, action in enumerate(actions, 1):
        observation, reward, terminated, truncated, info = environment.step(action)
        assert observation and 0 <= reward <= 1 and isinstance(info["valid"], bool)
        hash(info["state"])
        assert truncated == (turn == spec.max_turns and not terminated)
        if terminated or truncated:
            break


def _file(path: Path, *rows: object) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return f"search_qa:{path}"


def test_file_of_passages_and_questions_is_searched_and_asked(tmp_path: Path) -> None:
    rows = (
        {"title": "Water", "text": "Water boils at 100 degrees."},
        {"text": "Iron melts at 1538 degrees."},
        {"question": "Where does water boil?", "answer": ["100 degrees", "100"]},
    )
    environment = open_environment(_file(tmp_path / "world.jsonl", *rows))
    assert environment.reset(5)[0] == "Question: Where does water boil?"
    assert environment.step("search[water]")[0].startswith("[1] Water: Water boils at 100 degrees.\nActions left")
    assert environment.step("answer[100]")[1] == 1.0


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "x"}, "line 2 of .* has no answer; give a text or a list"),
        ({"question": "x", "answer": []}, "has no answer"),
        ({"question": "", "answer": "y"}, "has no text in 'question'"),
        ({"text": 3}, "has no text in 'text'"),
        ({"title": 3, "text": "x"}, "title is 3; give a text"),
        ({"passage": "x"}, "has neither 'text' nor 'question'"),
        ({"text": "only passages"}, "holds no questions; give rows with the field 'question'"),
    ],
)
def test_row_that_is_neither_passage_nor_question_is_refused(tmp_path: Path, row: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        find_environment(_file(tmp_path / "world.jsonl", {"text": "first"}, row))
    assert "\n" not in str(refused.value)
