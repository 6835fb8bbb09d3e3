"""Training from rollouts: what was sampled is what is learned from, rewards move the policy, a killed run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from latent_core.benchmarks.problem import Problem
from latent_core.config.grpo import GrpoConfig, Judge
from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.dual import build_dual
from latent_core.dual.constraint import PhaseMachine
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.likelihood import head
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.rl.policy.logprobs import Policy
from latent_core.rl.rollouts.judges import Rewards
from latent_core.rl.rollouts.problem_rollouts import Rollouts
from latent_core.rl.training import grpo
from latent_core.rl.training.grpo import reinforce
from latent_core.rl.training.loop import PolicyResult
from latent_core.sft.weights import load_model

SMALL: dict[str, Any] = {
    "questions": 4, "questions_per_step": 2, "steps": 2, "learning_rate": 1e-2, "micro_batch_size": 2,
    "save_every": 1, "rollout": {"samples": 2, "max_new_tokens": 24, "temperature": 1.5}, "keep_signal": 1.0,
}  # fmt: skip


def _first_is_best(config: GrpoConfig, model_dir: Path) -> Rewards:
    return lambda rows: [1.0 if row["sample_index"] == 0 else 0.0 for row in rows]


def _train(
    model_dir: Path,
    problems: Sequence[Problem],
    root: Path,
    progress: Any = None,
    references: dict[str, float] | None = None,
    **settings: Any,
) -> PolicyResult:
    return reinforce(
        model_dir,
        problems,
        GrpoConfig.model_validate({**SMALL, **settings}),
        benchmark="word_problems",
        out_dir=root / "out",
        checkpoint_dir=root / "checkpoints",
        references=references,
        progress=progress,
    )


@pytest.mark.parametrize("kind", ["standard", "dual"])
def test_policy_that_names_its_ratio_is_asked_by_its_token_and_its_rows_learn(
    kind: str, mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    config = RatioTokensConfig(form=RatioForm.ECHO, ratios=(0.5,))
    tokens = add_ratio_tokens(mini_dir, tmp_path / "told", config)
    if kind == "dual":
        build_dual(tmp_path / "told", tmp_path / "dual")
    start = tmp_path / ("dual" if kind == "dual" else "told")
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    result = _train(start, problems, tmp_path, steps=1, ratios=[0.5])
    assert all(tokens.ids[1] in row["prompt_token_ids"] for row in result.rollouts)
    trained = tmp_path / "out" / "model"
    assert RatioTokens.find(trained) == tokens
    before, after = (load_file(next(folder.glob("*.safetensors"))) for folder in (start, trained))
    rows = [table["model.embed_tokens.weight"][list(tokens.all_ids)] for table in (before, after)]
    assert (rows[0] != rows[1]).any(dim=1).all()


@pytest.mark.parametrize("kind", ["mini", "dual"])
def test_rewarded_completions_become_likelier_than_the_others_of_their_question(
    kind: str, request: pytest.FixtureRequest, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    model_dir: Path = request.getfixturevalue(f"{kind}_dir")
    machine = PhaseMachine(DualVocabulary.load(model_dir)) if kind == "dual" else None
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    result = _train(model_dir, problems, tmp_path, steps=1, learning_rate=1e-3)
    rows = list(result.rollouts)
    assert len(rows) == 4 and all(row["taught"] for row in rows)
    assert len({tuple(row["output_token_ids"]) for row in rows}) == 4
    gains = []
    for row in rows:
        prompt, output = row["prompt_token_ids"], row["output_token_ids"]
        if machine is not None:
            assert machine.violations(prompt, output).size == 0 and row["latent_tokens"] > 0
        ids = torch.tensor([[*prompt, *output]])
        with torch.no_grad():
            before, after = (
                Policy(machine, 1.5).logprobs(load_model(folder, GrpoConfig()), ids, torch.ones_like(ids), len(output))
                for folder in (model_dir, tmp_path / "out" / "model")
            )
        gains.append(float((after.values - before.values).sum()))
    for best, other in (gains[:2], gains[2:]):
        assert best > 0 and best > other


def test_run_that_was_killed_after_two_epochs_goes_on_from_its_checkpoint_to_the_same_weights_and_rollouts(
    dual_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    whole = _train(dual_dir, problems, tmp_path / "whole", steps=6)  # two steps an epoch

    def killed(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt  # before the checkpoint of this step is written

    with pytest.raises(KeyboardInterrupt):
        _train(dual_dir, problems, tmp_path / "killed", killed, steps=6)
    resumed = _train(dual_dir, problems, tmp_path / "killed", steps=6)
    assert resumed.resumed_from_step == 5
    assert list(resumed.rollouts) == list(whole.rollouts)
    one, other = (load_file(tmp_path / name / "out" / "model" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def _every_other_is_correct(config: GrpoConfig, model_dir: Path) -> Rewards:
    def rewards(rows: Sequence[Any]) -> list[float]:
        for row in rows:
            row["verdict"] = "correct" if row["sample_index"] == 0 else "wrong"
        return [float(row["verdict"] == "correct") for row in rows]

    return rewards


REFERENCES = {f"word_problems_train_{number}": 20.0 + number for number in range(4)}
LENGTH = {"reward": "lcpo_exact", "alpha": 0.5, "tolerance": 0.05, "rate": 0.4}


def test_run_under_dual_ascent_that_was_killed_goes_on_with_the_same_weights_of_the_length_term(
    dual_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _every_other_is_correct)
    settings: dict[str, Any] = {"references": REFERENCES, "length": LENGTH, "ratios": [1.0, 0.5], "steps": 4}
    whole = list(_train(dual_dir, problems, tmp_path / "whole", **settings).rollouts)

    def killed(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(dual_dir, problems, tmp_path / "killed", killed, **settings)
    resumed = _train(dual_dir, problems, tmp_path / "killed", **settings)
    assert resumed.resumed_from_step == 2
    assert list(resumed.rollouts) == whole
    alphas = [whole[step * 4]["alpha"] for step in range(4)]
    assert len(set(alphas)) == 4 and alphas[0] == 0.5
    one, other = _weights(tmp_path / "whole"), _weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_reward_of_a_rollout_holds_its_length_term(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _every_other_is_correct)
    rows = list(
        _train(mini_dir, problems, tmp_path, references=REFERENCES, length=LENGTH, ratios=[0.5], steps=1).rollouts
    )
    for row in rows:
        target = 0.5 * REFERENCES[row["question_id"]]
        term = -0.5 * min(1.0, abs(row["reasoning_tokens"] - target) / target)
        assert row["length_term"] == pytest.approx(term) and term < 0
        assert row["reward"] == pytest.approx((row["verdict"] == "correct") + term)


def test_length_term_without_lengths_of_the_start_model_is_refused(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"references: grpo\.length\.reward lcpo_exact needs"):
        _train(mini_dir, problems, tmp_path, length=LENGTH)


def test_placebo_learns_from_its_groups_rewards_in_another_order_and_keeps_what_each_is_worth(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _by_number)
    learned: list[list[float]] = []
    call = Rollouts.__call__

    def heard(self: Rollouts, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        batch = call(self, prompts, trainer)
        learned.append([advantages[0] for advantages in batch["advantages"]])
        return batch

    monkeypatch.setattr(Rollouts, "__call__", heard)
    rollout = SMALL["rollout"] | {"samples": 8}
    for placebo in (False, True):
        result = _train(
            mini_dir, problems, tmp_path / str(placebo), steps=1, rollout=rollout, placebo=placebo, advantage="dr_grpo"
        )
        assert [row["reward"] for row in result.rollouts] == [float(number) for number in range(8)] * 2
    real, placebo_learned = learned
    assert real == [number - 3.5 for number in range(8)] * 2
    for start in (0, 8):
        group = placebo_learned[start : start + 8]
        assert sorted(group) == real[:8] and group != real[:8]
    assert placebo_learned[:8] != placebo_learned[8:]


def _by_number(config: GrpoConfig, model_dir: Path) -> Rewards:
    return lambda rows: [float(row["sample_index"]) for row in rows]


def test_question_that_comes_again_draws_other_completions_and_its_ratio_anew(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path
) -> None:
    result = _train(mini_dir, problems[:2], tmp_path, questions=2, ratios=[1.0, 0.5], steps=4)
    rows = list(result.rollouts)
    for question in ("word_problems_train_0", "word_problems_train_1"):
        assert {row["ratio"] for row in rows if row["question_id"] == question} == {1.0, 0.5}
    outputs = [{tuple(row["output_token_ids"]) for row in rows if row["step"] == step} for step in range(4)]
    drawn = sum(len(step) for step in outputs)
    assert drawn > 12 and len(set.union(*outputs)) >= drawn - 2  # short ones may come twice by chance


def test_several_steps_on_the_same_completions_are_clipped(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    result = _train(mini_dir, problems, tmp_path, steps=4, iterations=2, save_every=2)
    assert [row["step"] for row in result.rollouts] == [0] * 4 + [2] * 4
    clipped = [entry["clip_ratio/region_mean"] for entry in result.curve if "clip_ratio/region_mean" in entry]
    assert clipped[0] == clipped[2] == 0 < min(clipped[1], clipped[3])


def test_mixture_of_experts_learns_without_a_loss_of_its_routers(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    start = Path(shutil.copytree(mini_dir, tmp_path / "experts"))
    vocabulary = json.loads((start / "config.json").read_text())["vocab_size"]
    torch.manual_seed(0)
    experts = Qwen3MoeConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=16, moe_intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, num_experts=4, num_experts_per_tok=2,
        max_position_embeddings=512,
    )  # fmt: skip
    assert experts.router_aux_loss_coef > 0
    Qwen3MoeForCausalLM(experts).save_pretrained(start)
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    result = _train(
        start, problems, tmp_path, steps=1, method="full", rollout={**SMALL["rollout"], "max_new_tokens": 4}
    )
    assert "loss" in result.curve[0] and "aux_loss" not in result.curve[0]
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "out" / "model"))
    assert any((before[name] != after[name]).any() for name in before)


def test_groups_without_signal_leave_the_weights_alone(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path
) -> None:
    """With 24 tokens every completion is cut, so every reward of a group is the same."""
    result = _train(mini_dir, problems, tmp_path, steps=1)
    assert not any(row["taught"] for row in result.rollouts)
    before, after = (
        load_file(mini_dir / "model.safetensors"),
        load_file(tmp_path / "out" / "model" / "model.safetensors"),
    )
    assert all(torch.equal(before[name].float(), after[name]) for name in before)


def _equal(config: GrpoConfig, model_dir: Path) -> Rewards:
    return lambda rows: [0.97] * len(rows)  # its mean in float32 is another number


def _first_question_only(config: GrpoConfig, model_dir: Path) -> Rewards:
    """Rewards that differ in the group of the first question, and at the first step."""
    steps = count()

    def rewards(rows: Sequence[Any]) -> list[float]:
        taught = next(steps) == 0
        return [
            float(row["sample_index"]) if taught and row["question_id"] == "word_problems_train_0" else 0.97
            for row in rows
        ]

    return rewards


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "out" / "model" / "model.safetensors")


def test_equal_rewards_whose_mean_is_rounded_leave_the_weights_alone(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _equal)
    rollout = SMALL["rollout"] | {"samples": 8}
    _train(mini_dir, problems, tmp_path, steps=1, questions_per_step=1, rollout=rollout)
    before, after = load_file(mini_dir / "model.safetensors"), _weights(tmp_path)
    assert all(torch.equal(before[name].float(), after[name]) for name in before)


def test_step_whose_groups_are_all_dropped_leaves_the_weights_where_the_last_one_brought_them(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _first_question_only)
    for steps in (1, 3):
        _train(mini_dir, problems[:1], tmp_path / str(steps), questions_per_step=1, steps=steps)
    one, three, start = _weights(tmp_path / "1"), _weights(tmp_path / "3"), load_file(mini_dir / "model.safetensors")
    assert any(not torch.equal(one[name], start[name].float()) for name in one)
    assert all(torch.equal(one[name], three[name]) for name in one)


@pytest.mark.parametrize("advantage", ["grpo", "dr_grpo", "dapo", "rloo"])
def test_gradient_is_that_of_kept_groups_alone_whatever_is_dropped_beside_them(
    advantage: str, mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(grpo, "judge", _first_question_only)
    norms = [
        _train(
            mini_dir, problems[:number], tmp_path / str(number), questions_per_step=number, steps=1, advantage=advantage
        ).curve[0]["grad_norm"]
        for number in (1, 3)
    ]
    assert norms[1] == pytest.approx(norms[0], rel=1e-3) and norms[0] > 0


def test_policy_with_logits_that_are_not_understood_is_refused(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    monkeypatch.setattr(head, "_scaling", lambda config: (2.0, None))  # as if the model had halved its logits
    with pytest.raises(InputError, match="makes more of its logits"):
        _train(mini_dir, problems, tmp_path)


def test_log_probability_of_the_gold_rewards_reasoning_that_ends(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path
) -> None:
    reward = {"judge": Judge.LOGPROB}
    rollout = {"samples": 2, "max_new_tokens": 160}
    rows = list(_train(mini_dir, problems, tmp_path, steps=1, reward=reward, rollout=rollout).rollouts)
    ended = [row["reward"] for row in rows if row["verdict"] != "truncated"]
    assert ended and all(-20 <= reward < 0 for reward in ended)
    assert any(row["reward"] > -1 for row in rows)
