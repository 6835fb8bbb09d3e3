"""From chains of thought to graded samples: rows as collection writes them, counted in the base model's tokens."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from latent_core import prompts
from latent_core.config.chains import ChainGrading
from latent_core.models.readable import ReadableModel
from latent_core.scoring import Submission, Verdict, grade_many
from latent_core.scoring.extraction import extract_answer
from latent_core.scoring.grading import Detail, Outcome
from latent_core.scoring.statement import before_answer
from latent_core.think_marks import THINK_CLOSE, THINK_OPEN

Row = Mapping[str, Any]
GRADED_AT_ONCE = 256  # chains: keeps all grading workers busy, and few texts in memory
_BENCHMARKS = {ChainGrading.MATHEMATICS: "file", ChainGrading.LETTER: "mmlu"}


def chain_samples(
    chains: Iterable[Row],
    model: ReadableModel,
    grading: ChainGrading,
    accounting: Counter[str],
    progress: Callable[[int, int], None] = lambda done, tokens: None,
) -> Iterator[dict[str, Any]]:
    """A row of `generate.completions.sample_schema` for each row of `reading.chain_schema`, in order.

    Token ids are those of the text as the model would have to write it. A chain that was not closed is truncated.
    `accounting` counts each as kept, or as `control_token` where its reasoning or answer spells a token that ends a
    turn or a thought of this model, or, of trusted ones, as `no_answer`; `progress` gets (chains, tokens) so far.
    """
    done, tokens = 0, 0
    chains = iter(chains)
    prompt: tuple[str, array[int]] | None = None
    while block := list(islice(chains, GRADED_AT_ONCE)):
        for chain, verdict in zip(block, _verdicts(block, grading), strict=True):
            gold = chain["gold"] if chain["gold"] is not None else verdict.answer
            reasoning = _reasoning(chain)
            if gold is None and chain["is_closed"]:
                accounting["no_answer"] += 1
                continue
            if model.spells_control_token(reasoning) or model.spells_control_token(gold or ""):
                accounting["control_token"] += 1
                continue
            if prompt is None or prompt[0] != chain["question"]:
                prompt = chain["question"], _prompt(chain["question"], model)
            row = _sample(chain, reasoning, gold, verdict, model, prompt[1])
            accounting["kept"] += 1
            tokens += row["tokens"]
            yield row
        done += len(block)
        progress(done, tokens)


def _verdicts(block: list[Row], grading: ChainGrading) -> list[Verdict]:
    if grading is ChainGrading.TRUSTED:
        return [_trusted(chain) for chain in block]
    benchmark = _BENCHMARKS[grading]
    return grade_many(
        Submission(_completion(chain), chain["gold"], benchmark, "stop" if chain["is_closed"] else "length")
        for chain in block
    )


def _trusted(chain: Row) -> Verdict:
    if not chain["is_closed"]:
        return Verdict(Outcome.TRUNCATED, None, Detail.CUT)
    return Verdict(Outcome.CORRECT, extract_answer(_completion(chain)), Detail.EXACT)


def _completion(chain: Row) -> str:
    if chain["reasoning"] is None:
        return str(chain["words"])
    closing = f"{THINK_CLOSE}{chain['words']}" if chain["is_closed"] else ""
    return f"{THINK_OPEN}{chain['reasoning']}{closing}"


def _reasoning(chain: Row) -> str:
    return before_answer(chain["words"]) if chain["reasoning"] is None else str(chain["reasoning"])


def _prompt(question: str, model: ReadableModel) -> array[int]:
    def render(asked: str) -> str:
        return prompts.render_prompt(asked, model.tokenizer, model.family)

    return model.encode_around(render, question)


def _sample(
    chain: Row, reasoning: str, gold: str | None, verdict: Verdict, model: ReadableModel, prompt: array[int]
) -> dict[str, Any]:
    thought = model.encode_packed(reasoning)
    words = str(chain["words"])
    if chain["reasoning"] is None:
        words = words.removeprefix(reasoning).strip()
    rest = ""
    if chain["is_closed"]:
        end = f"\n{model.family.think_end}" if model.family.thinks else ""
        rest = f"{end}\n\n{words}{model.family.end_of_turn}"
    ids = thought + model.encode_packed(rest)
    return {
        "question_id": chain["question_id"],
        "sample_index": chain["sample_index"],
        "question": chain["question"],
        "gold": gold or "",
        "level": None,
        "prompt_token_ids": prompt,
        "output_token_ids": ids,
        "finish_reason": "stop" if chain["is_closed"] else "length",
        "completion": _completion(chain),
        "reasoning": reasoning,
        "answer": verdict.answer,
        "verdict": verdict.outcome.value,
        "tokens": len(ids),
        "reasoning_tokens": len(thought),
        "latent_tokens": 0,
    }
