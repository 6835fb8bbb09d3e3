"""The playground: models in lockstep, each token shown once as what it is, latents readable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape

import pytest

from latent_core import prompts
from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.dual import build_dual
from latent_core.errors import InputError
from latent_core.generate.engine import Request
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.models.tokens import encode
from latent_core.ui.playground import MAX_QUESTION, Part, Player, play, stretches
from latent_core.ui.playground_markup import players_side_by_side


class ScriptedEngine:
    """Writes given ids; remembers the prompts it was given and whether its reader left early."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.requests: list[Request] = []
        self.closed = False

    def stream(self, request: Request, sampling: object) -> Iterator[int]:
        self.requests.append(request)
        try:
            yield from self.ids
        finally:
            self.closed = True


@pytest.fixture(scope="module")
def standard() -> ReadableModel:
    return ReadableModel.load(open_model("latent-mini").directory)


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> ReadableModel:
    directory = tmp_path_factory.mktemp("duals") / "dual"
    build_dual(open_model("latent-mini").directory, directory)
    return ReadableModel.load(directory)


@pytest.fixture(scope="module")
def written(standard: ReadableModel, dual: ReadableModel) -> Callable[[str, str], tuple[list[int], list[int]]]:
    """The ids of a reasoning and an answer, as the standard and as the dual model write them."""

    def write(reasoning: str, answer: str) -> tuple[list[int], list[int]]:
        thought, said = (encode(text, standard.tokenizer) for text in (reasoning, answer))
        rest = [standard.family.think_end_id, *said, standard.family.end_of_turn_id]
        assert dual.vocabulary is not None
        return [*thought, *rest], [*dual.vocabulary.to_latent(thought).tolist(), *rest]

    return write


def test_stretches_tell_latent_reasoning_and_answer_apart(standard, dual, written):
    plain, latent = written("3 + 4 = 7", "It is 7.")
    assert [(item.part, item.text) for item in stretches(plain, standard)] == [
        (Part.REASONING, "3 + 4 = 7"),
        (Part.ANSWER, "It is 7."),
    ]
    assert [(item.part, item.text) for item in stretches(latent, dual)] == [
        (Part.LATENT, "3 + 4 = 7"),
        (Part.ANSWER, "It is 7."),
    ]
    assert sum(len(item.ids) for item in stretches(latent, dual)) == len(latent) - 2  # </think> and the stop token


def test_ratio_that_a_model_names_first_is_no_part_of_its_reasoning(tmp_path):
    config = RatioTokensConfig(form=RatioForm.ECHO, ratios=(0.5,))
    tokens = add_ratio_tokens(open_model("latent-mini").directory, tmp_path / "told", config)
    model = ReadableModel.load(tmp_path / "told")
    ids = model.encode("<|ratio_50|><think>3 + 4 = 7</think>It is 7.<|im_end|>")
    assert ids[0] == tokens.ids[1]
    for end in range(len(ids) + 1):  # as it comes, token by token
        shown = stretches(ids[:end], model)
        assert all("ratio" not in item.text for item in shown)
    assert [(item.part, item.text) for item in shown] == [(Part.REASONING, "3 + 4 = 7"), (Part.ANSWER, "It is 7.")]
    with pytest.raises(InputError, match=r"ratio: 0.4 has no token in this model; it has 1, 0.5"):
        next(play("q", 0.4, 9, [Player("a", "", model, ScriptedEngine([]))]))


def test_play_moves_both_models_by_one_token_a_step_and_ends_when_both_have(standard, dual, written):
    short, _ = written("3 + 4 = 7", "7")
    _, long = written("First we add 3 and 4, and this gives us 7.", "7")
    engines = ScriptedEngine(short), ScriptedEngine(long)
    players = [Player("a", "", standard, engines[0]), Player("b", "", dual, engines[1])]
    steps = list(play("What is 3 + 4?", 0.5, 256, players))
    lengths = [tuple(len(state.ids) for state in states) for states in steps]
    assert lengths[:-1] == [(min(step, len(short)), step) for step in range(len(long) + 1)]
    assert [state.finish for state in steps[-1]] == ["stop", "stop"]
    assert steps[len(short)][0].finish == "stop" and steps[len(short)][1].finish is None
    for engine, model in zip(engines, (standard, dual), strict=True):
        prompt = prompts.render_prompt("What is 3 + 4?", model.tokenizer, model.family, ratio=0.5)
        assert engine.requests[0].prompt_ids == tuple(encode(prompt, model.tokenizer))


def test_play_says_which_model_was_cut_at_the_limit(standard, written):
    whole, _ = written("3 + 4 = 7", "7")
    players = [Player("cut", "", standard, ScriptedEngine(whole[:3])), Player("a", "", standard, ScriptedEngine(whole))]
    assert [state.finish for state in list(play("q", 1.0, 3, players))[-1]] == ["length", "stop"]


def test_play_that_is_left_early_stops_its_models(standard, written):
    engine = ScriptedEngine(written("3 + 4 = 7", "7")[0])
    steps = play("q", 1.0, 99, [Player("a", "", standard, engine)])
    next(steps), next(steps)
    steps.close()
    assert engine.closed


@pytest.mark.parametrize(
    ("question", "ratio", "tokens", "field"),
    [("  ", 0.5, 9, "question"), ("q" * (MAX_QUESTION + 1), 0.5, 9, "question"), ("q", 0.0, 9, "ratio"),
     ("q", 0.5, 0, "max_new_tokens"), ("q", 0.5, 99_999, "max_new_tokens")],
)  # fmt: skip
def test_play_refuses_what_it_cannot_do_naming_the_field(standard, question, ratio, tokens, field):
    with pytest.raises(InputError, match=f"^{field}: "):
        next(play(question, ratio, tokens, [Player("a", "", standard, ScriptedEngine([]))]))


def test_card_of_a_dual_model_hides_the_reading_behind_the_latent_ids(dual, written):
    _, latent = written("3 < 4", "<b>7</b> ${7}")
    player = Player("<i>dual</i>", "a remark", dual, ScriptedEngine(latent))
    html = players_side_by_side(list(play("q", 0.5, 99, [player]))[-1])
    assert dual.vocabulary is not None
    chips = [int(code) for code in re.findall(r"<i>(\d+)</i>", html)]
    assert chips == [token - dual.vocabulary.visible_size for token in latent[: len(chips)]] and len(chips) > 2
    assert "title='3 &lt; 4'" in html and "<div class='decoded text'>3 &lt; 4</div>" in html
    assert "<b>7</b>" not in html and "<i>dual" not in html and "$" not in html
    assert f"<b>{len(latent)}</b> tokens, {len(chips)} of reasoning, {len(chips)} of them latent" in html
    assert "finished" in html and "a remark" in unescape(html)


def test_card_of_a_model_that_goes_on_says_so(standard):
    state = next(play("q", 0.5, 99, [Player("a", "", standard, ScriptedEngine([]))]))[0]
    assert "writing" in players_side_by_side([state])
    assert "cut at the limit" in players_side_by_side([replace(state, finish="length")])
