"""The scorer against plain forward passes of one sequence at a time, and the order of its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, MistralConfig, Qwen3Config

from latent_core.config.prompting import TextFormat
from latent_core.dual import DualVocabulary, build_dual
from latent_core.errors import InputError, StageFailed
from latent_core.likelihood import head
from latent_core.models.source import open_model
from latent_core.reward.frame import answer_frame
from latent_core.reward.scorer import Scorer, require_full_attention
from latent_core.reward.scores import LOWEST, MALFORMED, ScoreRequest, Status

MINI = open_model("latent-mini").directory
PROMPT = "<|im_start|>user\nAnn has 3 apples and buys 4. How many?<|im_end|>\n<|im_start|>assistant\n<think>\n"
BETWEEN = "\n\nThe final answer is: $\\boxed{"


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_dual(MINI, tmp_path_factory.mktemp("dual") / "model").directory


def request(scorer: Scorer, completion: str, gold: str, *, latent: bool = False, prompt: str = PROMPT) -> ScoreRequest:
    prompt_ids = tuple(scorer.readable.tokenizer.encode(prompt, add_special_tokens=False))
    return ScoreRequest(prompt_ids, scorer.encode_completion(completion, latent=latent), gold)


def plain_forward(directory: Path, prompt: str, reasoning: str, gold: str, *, latent: bool = False) -> float:
    """The same number the slow way: one whole sequence a spelling, no cache, no padding, one token after another."""
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True).eval()
    found = []
    for spelling in (gold, " " + gold):
        before = tokenizer.encode(prompt, add_special_tokens=False)
        thought = tokenizer.encode(reasoning, add_special_tokens=False)
        visible = None
        if (directory / "dual_vocab.json").is_file():
            vocabulary = DualVocabulary.load(directory)
            visible = vocabulary.visible_size
            thought = vocabulary.to_latent(thought).tolist() if latent else thought
        rest = tokenizer.encode("</think>" + BETWEEN + spelling + "}$", add_special_tokens=False)
        # Where the gold's tokens lie: the text up to each token, by decoding growing prefixes.
        ends = [len(tokenizer.decode(rest[: i + 1])) for i in range(len(rest))]
        start = len("</think>" + BETWEEN)
        own = [i for i in range(len(rest)) if ends[i] > start and (i == 0 or ends[i - 1] < start + len(spelling))]
        ids = [*before, *thought, *rest]
        logits = model(torch.tensor([ids])).logits[0].detach().double()
        total = 0.0
        for i in own:
            position = len(before) + len(thought) + i
            scores = logits[position - 1].clone()
            if visible is not None:
                scores[visible:] = float("-inf")
                scores[list(DualVocabulary.load(directory).think_ids)] = float("-inf")
            total += float(torch.log_softmax(scores, -1)[ids[position]])
        found.append(total / len(own))
    return max(found)


CASES = [
    ("3 + 4 = 7", "7"),
    ("She has 3, buys 4, so 3 + 4 = 7 apples in all, that is 7.\n\n", "7"),
    ("no idea", "1250"),
    ("half", r"\frac{1}{2}"),
    ("words", "seven apples"),
]


def test_scores_equal_plain_forward_passes(scorer: Scorer) -> None:
    requests = [request(scorer, f"{reasoning}</think>anything", gold) for reasoning, gold in CASES]
    found = scorer.score(requests)
    for (reasoning, gold), score in zip(CASES, found, strict=True):
        assert score.score == pytest.approx(plain_forward(MINI, PROMPT, reasoning, gold), abs=1e-4)
        assert score.status is Status.SCORED and score.variant.strip() == gold
    assert len({round(score.score, 6) for score in found}) == len(found)


@pytest.mark.parametrize("latent", [True, False])
def test_dual_model_is_asked_under_its_constraint(dual: Path, latent: bool) -> None:
    scorer = Scorer(dual)
    (found,) = scorer.score([request(scorer, "3 + 4 = 7</think>", "7", latent=latent)])
    assert found.score == pytest.approx(plain_forward(dual, PROMPT, "3 + 4 = 7", "7", latent=latent), abs=1e-4)


def test_reasoning_is_what_is_scored_and_not_the_answer(scorer: Scorer) -> None:
    good, other, bad = scorer.score(
        [
            request(scorer, "3 + 4 = 7</think>\n\nThe final answer is: $\\boxed{99}$", "7"),
            request(scorer, "3 + 4 = 7</think>", "7"),
            request(scorer, "3 + 5 = 8</think>\n\nThe final answer is: $\\boxed{7}$", "7"),
        ]
    )
    assert good.score == pytest.approx(other.score, abs=1e-5)
    assert good.score > bad.score


def test_malformed_completions_are_strictly_worst(scorer: Scorer) -> None:
    no_end, empty, worst = scorer.score(
        [
            request(scorer, "3 + 4 = 7 and so on", "7"),
            request(scorer, "", "7"),
            request(scorer, "3 + 4 = 7</think>", "ЖШ" * 30),
        ]
    )
    assert (no_end.score, no_end.status) == (MALFORMED, Status.NO_THINK_END)
    assert (empty.score, empty.status) == (MALFORMED, Status.EMPTY)
    assert LOWEST <= worst.score <= 0 and MALFORMED < LOWEST


def test_impossible_gold_of_a_dual_model_is_finite(dual: Path) -> None:
    scorer = Scorer(dual)
    (found,) = scorer.score([request(scorer, "3 + 4</think>", "</think>")])
    assert found.score == LOWEST


def test_batches_and_order_do_not_change_scores(scorer: Scorer) -> None:
    requests = [request(scorer, f"{'so ' * (7 * index % 5)}it is {index}</think>", str(index)) for index in range(9)]
    together = [score.score for score in scorer.score(requests)]
    alone = [scorer.score([one])[0].score for one in requests]
    assert together == pytest.approx(alone, abs=1e-4)


OTHER_PROMPT = PROMPT.replace("Ann has 3 apples and buys 4", "Bob, who is eight years old, owns 12 pears and eats 5")


def mixed(scorer: Scorer) -> list[ScoreRequest]:
    """Two prompts of different lengths that several completions share, one that none does, and a completion twice."""
    return [
        request(scorer, "3 + 4 = 7</think>", "7"),
        request(scorer, "12 - 5 = 7, since he eats them</think>", "17", prompt=OTHER_PROMPT),
        request(scorer, "9 times 2 is 18</think>", "18", prompt=PROMPT.replace("3", "9")),
        request(scorer, "he eats 5</think>", "7", prompt=OTHER_PROMPT),
        request(scorer, "3 + 4 = 7</think>", "7"),
        request(scorer, "3 and then 4 more make 7 of them</think>", "1250"),
    ]


@pytest.mark.parametrize("batch_tokens", [16_384, 40])
def test_shared_prompts_and_equal_completions_score_as_plain_passes_do(batch_tokens: int) -> None:
    scorer = Scorer(MINI, batch_tokens=batch_tokens)
    requests = mixed(scorer)
    decode = scorer.readable.tokenizer.decode
    for one, score in zip(requests, scorer.score(requests), strict=True):
        reasoning = decode(one.completion_ids).removesuffix("</think>")
        assert score.score == pytest.approx(plain_forward(MINI, decode(one.prompt_ids), reasoning, one.gold), abs=1e-4)


def test_passes_side_by_side_score_as_one_after_the_other_and_leave_the_threads_as_they_were(scorer: Scorer) -> None:
    requests = mixed(scorer)
    expected = [score.score for score in scorer.score(requests)]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        parallel = Scorer(MINI, batch_tokens=40)
        found = [score.score for score in parallel.score(requests)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert found == pytest.approx(expected, abs=1e-4)


def test_weights_that_are_not_numbers_raise_instead_of_scoring() -> None:
    scorer = Scorer(MINI)
    with torch.no_grad():
        scorer._model.get_input_embeddings().weight[:] = float("nan")
    with pytest.raises(StageFailed, match="not finite"):
        scorer.score([request(scorer, "3</think>", "7")])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"gold": " "}, "gold"),
        ({"prompt_ids": ()}, "prompt"),
        ({"prompt_ids": (10**6,)}, "prompt_token_ids"),
        ({"completion_ids": (-1,)}, "completion_token_ids"),
    ],
)
def test_bad_requests_name_the_field(scorer: Scorer, change: dict[str, Any], field: str) -> None:
    fields = {"prompt_ids": (5,), "completion_ids": (6,), "gold": "7"} | change
    with pytest.raises(InputError, match=f"^{field}:"):
        scorer.score([ScoreRequest(**fields)])


def test_completion_beyond_the_context_is_refused(scorer: Scorer) -> None:
    with pytest.raises(InputError, match=r"^completion: .* shorten"):
        scorer.score([request(scorer, "a " * 2000 + "</think>", "7")])
    with pytest.raises(InputError, match=r"^latent:"):
        scorer.encode_completion("3</think>", latent=True)


@pytest.mark.parametrize(
    "config",
    [Qwen3Config(layer_types=["full_attention", "sliding_attention"], num_hidden_layers=2), MistralConfig()],
)
def test_model_that_looks_through_a_window_is_refused(config: Any) -> None:
    with pytest.raises(InputError, match="sliding_attention"):
        require_full_attention(config)
    require_full_attention(LlamaConfig())


def test_model_with_logits_that_are_not_understood_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_scaling", lambda config: (2.0, None))  # as if the model had halved its logits
    with pytest.raises(InputError, match="makes more of its logits"):
        Scorer(MINI)


def test_frame_is_what_the_target_format_defines(scorer: Scorer) -> None:
    frame = answer_frame(scorer.readable.family)
    assert (frame.before, frame.after) == (BETWEEN, "}$")
    xml = answer_frame(scorer.readable.family, TextFormat.XML)
    assert (xml.before, xml.after) == ("\n<answer>", "</answer>")
    with pytest.raises(InputError, match="format"):
        answer_frame(scorer.readable.family, TextFormat.RAW_TEXT)
