"""Roles tell the truth: what RUNTIME fields say changes no planned fingerprint, what others say changes some.

Generated over every field of every flow's parameters: each is set to other legal values, and the flow is planned again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from flows.launch.plan import plan
from flows.launch.registry import FlowEntry, find_flow, flow_names, parameters_of
from latent_core.config.base import Role, StageConfig
from latent_core.config.chains import ChainColumns, ChainsConfig
from latent_core.config.collect import CollectConfig
from latent_core.config.ppo import GaeConfig, ValueConfig
from latent_core.errors import InputError
from latent_core.models.source import open_model
from latent_core.store import ArtifactRef

Values = dict[str, Any]
SAMPLED = {"temperature": 0.5}  # greedy decoding allows one sample only
COMMON: Values = {"benchmark": {"difficulties": [1]}, "evaluate": {"questions": 5, "sampling": SAMPLED}}
COLUMNS = {"question": "question", "completion": "completion", "reasoning": None, "answer": "answer"}
COLLECTED: Values = COMMON | {"collect": {"questions": 4, "shard_questions": 2}}
AT_A_HALF: Values = COLLECTED | {"evaluate": {"questions": 5, "sampling": SAMPLED, "ratios": [0.5]}}
WORDS: Values = {"questions": 4, "held_out": 2, "reading": "conversation"}
FEW: Values = {"questions": 8, "questions_per_step": 4}
BASES: dict[str, Values] = {
    "tokenskip-math": AT_A_HALF
    | {"compress": {"scoring": {"spans": True}}, "quality": {}, "warm_start": {"questions": 5}},
    "mini": {},
    "direct": COMMON | {"prepare": {"questions": 5}},
    "concise": COLLECTED | {"few_shot": {}},
    "compressor": {"labeller": "latent-mini", "corpora": [{"benchmark": {"difficulties": [1]}, "labels": WORDS}]},
    "label-kinds": AT_A_HALF
    | {"compress": {"scoring": {"spans": True}}, "kinds": ["surprisal", "answer_aware"], "labels": WORDS},
    "compare": COLLECTED
    | {"evaluate": {"questions": 5, "sampling": SAMPLED, "ratios": [1.0, 0.5, 0.3]}, "seeds": [1, 2, 3], "quality": {}}
    | {"compressor_ratios": [1.0, 0.5, 0.3]}
    | {"latent_arms": ["standard", "dual"], "compressors": ["latent-compressor", "random"]}
    | {"compress": {"scoring": {"spans": True}, "keep_numbers": True}, "warm_start": {"questions": 5}},
    "grpo": COMMON | {"grpo": FEW | {"length": {"reward": "gated", "rate": 0.1}}},
    "rl": {"environment": "bandit", "play": {"sampling": {"temperature": 0.5}}},
    "length": COMMON
    | {"evaluate": {"questions": 5, "sampling": SAMPLED, "ratios": [1.0, 0.5]}, "seeds": [1, 2, 3], "grpo": FEW}
    | {"models": {"standard": "latent-mini", "dual": "latent-mini"}, "arms": ["plain", "gated"]},
    "reevaluate": COMMON | {"evaluate": {"questions": 5, "sampling": SAMPLED, "ratios": [0.5]}},
}
CHAINS = ("rows", "unmarked", "grading", "shard_rows", "columns", *(f"columns.{name}" for name in ChainColumns.roles))
# A field that counts only beside others of its section, by the end of its name: those others.
FILES = {"name": "file", "train_path": "train.jsonl", "test_path": "test.jsonl"}
BESIDE: dict[str, Values] = {
    "dual.pattern": {"mode": "subset", "pattern": "a"},
    "dual.seen_at_least": {"mode": "subset", "seen_at_least": 1},
    "dual.ids_file": {"mode": "subset", "ids_file": "one.json"},
    "dual.tokens_file": {"mode": "custom", "tokens_file": "one.json"},
    "dual.embeddings_file": {"mode": "custom", "tokens_file": "one.json"},
    "prepare.buckets": {"ratio_label": "bucket"},
    "prepare.bucket_tolerance": {"ratio_label": "bucket"},
    "train.visible_rows": {"method": "lora"},
    "sampling.logprobs_of": {"logprobs": True},
    "benchmark.train_path": FILES,
    "benchmark.test_path": FILES,
    "benchmark.drop_contaminated": FILES,
    "rollout.importance_cap": {"engine": "vllm"},
    "agent.gamma": {"estimator": "turn_level"},
    "evaluate.intervention_ratios": {"interventions": ["empty"], "ratios": [1.0, 0.9, 0.5, 0.3]},
    "sampling.openai.served_model": {"engine": "openai", "openai": {"served_model": "one"}},
    **{f"collect.chains.{name}": {"source": "file:chains.jsonl", "chains": {"columns": COLUMNS}} for name in CHAINS},
    **{
        f"agent.{section}.{name}": {"estimator": "ppo"}
        for section, kind in (("gae", GaeConfig), ("value", ValueConfig))
        for name in kind.model_fields
    },
}
# Values of other sections, by the end of the flow's and the field's names.
ELSEWHERE: dict[str, Values] = {
    "grpo grpo.reward.judge": {"grpo": FEW},  # a length term goes with the verdict alone
    "grpo grpo.reward.length_cost": {"grpo": FEW},
    "rl agent.gamma": {"placebo": False},  # which permutes whole returns
    "length grpo.reward.judge": {"arms": ["plain"]},
    "length grpo.reward.length_cost": {"arms": ["plain"]},
    # chains of thought that are there already are learned without sampling the model
    **{
        f"{flow} collect.{name}": dict.fromkeys(("few_shot",) if flow == "concise" else ("warm_start",))
        for flow in ("tokenskip-math", "compare", "concise")
        for name in ("source", *(f"chains.{name}" for name in CHAINS))
    },
    **{f"{flow} prepare.auto_share": {"ratio_form": "echo"} for flow in ("tokenskip-math", "compare")},
    "tokenskip-math evaluate.auto_ratio": {"ratio_form": "echo", "prepare": {"auto_share": 0.5}},
}
# Other legal texts, by the end of the field's name.
TEXTS = {
    "collect.source": "file:chains.jsonl",
    **{f"columns.{name}": f"other_{name}" for name in ChainColumns.roles},
    "pattern": "b",
    "dual.ids_file": "other.json",
    "dual.tokens_file": "other.json",
    "dual.embeddings_file": "other.json",
    "train_path": "other.jsonl",
    "test_path": "other.jsonl",
    "benchmark.name": "reasoning_gym:basic_arithmetic",
    "compress.model": "random",
    "model": "other model",
    "standard": "other model",
    "dual": "other model",
    "initial": "other model",
    "labeller": "other model",
    "environment": "sokoban",
    "date": "2025-01-01",
    "tracking.uri": "sqlite:///other.db",
    "": "other",
}
# Fields that change nothing here or have no other legal value, by the end of the flow's and their names, and why.
INERT = {
    "chains.subset": "of a data set on the hub",
    "chains.split": "as above",
    "chat.thinking": "latent-mini's template leaves no choice; tests of models change it for other templates",
    "chat.date": "latent-mini's template reads no date; tests of models change it for templates that do",
    "dual.mode": "changes only together with what the mode needs",
    "direct evaluate.ratios": "must be 1",
    "concise evaluate.ratios": "must be 1",
    "direct evaluate.auto_ratio": "trains no ratios",
    "concise evaluate.auto_ratio": "trains no ratios",
    "label-kinds prepare.auto_share": "its models are told ratios by the suffix",
    "label-kinds evaluate.auto_ratio": "its models are told ratios by the suffix",
    "compare evaluate.auto_ratio": "must be false: arms are compared at ratios that are asked for",
    "grpo evaluate.auto_ratio": "latent-mini names no ratio; tests/flows/test_ratio_forms.py has a model that does",
    "reevaluate evaluate.auto_ratio": "the same",
    "compressor corpora.0.benchmark.test_path": "the flow reads no test split",
    "compressor corpora.0.benchmark.drop_contaminated": "the flow reads no test split",
    "reevaluate benchmark.train_path": "the flow reads the training split for drop_contaminated only",
    "registers.verbose": "the shares add up to 1; a test of registers changes two at a time",
    "registers.equations": "as above",
    "registers.draft": "as above",
    "registers.telegram": "as above",
    "label-kinds labels.kind": "the flow sets it",
    "label-kinds compress.model": "the flow sets it",
    "compare compress.model": "the flow sets it",
    "compare compress.unit": "the flow sets it",
    "compare compress.scoring.spans": "units and keep_numbers need it",
    "compare compress.drop_consecutive": "spans refuse it; tests of the main job change it",
    "compare compress.scoring.force_tokens": "as above",
    "compare compress.scoring.force_reserve_digit": "as above",
    "compare train.seed": "the flow trains with every one of its seeds",
    "compare evaluate.base": "must be true",
    "rl agent.seed": "the flow trains with every one of its seeds",
    "rl agent.latent_only": "needs a dual model; tests/flows/test_rl.py plans with one",
    "rl agent.placebo": "must be false: the placebo is an arm of its own",
    "length grpo.seed": "the flow trains with every one of its seeds",
    "length grpo.placebo": "the flow sets it",
    "length grpo.length.reward": "the flow sets it",
    "length grpo.length.alpha": "the flow sets it",
    "length grpo.length.tolerance": "the flow sets it",
    "length grpo.length.rate": "the flow sets it",
    "length grpo.length.reference_samples": "the flow sets it",
    "length evaluate.auto_ratio": "asks for no length",
    "rollout.vllm.tensor_parallel_size": "must be 1: weights are handed over within one process",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files that the values above name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flows.parts.engines.find_spec", lambda name: object())  # as if vLLM were installed
    for name, number in (("one", "400"), ("other", "401")):
        (tmp_path / f"{name}.json").write_text(json.dumps([number]))
    for name, first in (("train", 0), ("test", 18), ("other", 40)):
        rows = [
            {"question": f"How much is {number} + 1?", "gold": str(number + 1)} for number in range(first, first + 20)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    chain = {"question": "1 + 1?", "completion": "\\boxed{2}", "answer": "2", "id": "one", "sample_index": 0}
    others = {
        "other_question": "2?",
        "other_completion": "2",
        "other_reasoning": "2",
        "other_answer": 2,
        "other_id": "a",
    }
    rows = [chain | others | {"other_sample": number, "number": number} for number in range(5)]
    (tmp_path / "chains.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    shutil.copytree(open_model("latent-mini").directory, tmp_path / "other model")
    (tmp_path / "other model" / "generation_config.json").write_text("{}")
    return tmp_path


def _parameters(flow: str) -> StageConfig:
    """The flow's parameters, with the columns of a table of chains, which are legal only where one is read."""
    parameters = find_flow(flow).config.model_validate(BASES[flow])
    chains = ChainsConfig.model_validate({"columns": COLUMNS})
    collected = {
        name: section.model_copy(update={"chains": chains})
        for name, section in parameters
        if isinstance(section, CollectConfig)
    }
    return parameters.model_copy(update=collected)


def _fields(section: StageConfig, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Role, list[Any]]]:
    """Every field below `section`: its path, its role and other values to try; optional sections can be left out."""
    for name, field in type(section).model_fields.items():
        here, value = (*path, name), getattr(section, name)
        if isinstance(value, StageConfig):
            yield from _fields(value, here)
            if type(None) in get_args(field.annotation):
                yield here, section.roles[name], [None]
        elif isinstance(value, tuple) and value and isinstance(value[0], StageConfig):
            yield from _fields(value[0], (*here, "0"))
            yield here, section.roles[name], [[item.model_dump(exclude_unset=True) for item in value * 2]]
        else:
            yield here, section.roles[name], _others(field.annotation, value, ".".join(here))


def _others(annotation: Any, value: Any, name: str) -> list[Any]:
    """Values beside `value` that a field of this type may take."""
    options = get_args(annotation) if type(None) in get_args(annotation) else (annotation,)
    kind = _bare(next(option for option in options if option is not type(None)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [item.value for item in kind if item is not value]
    if get_origin(kind) is Literal:
        return [item for item in get_args(kind) if item != value]
    if get_origin(kind) is tuple:
        (item,) = (part for part in get_args(kind) if part is not ...)
        return [list(value or ())[:-1], *([*(value or ()), other] for other in _others(_bare(item), None, name))]
    if kind is bool:
        return [not value]
    if kind is int:
        return [2, 64] if value is None else sorted({value + 1, value * 2, value // 2} - {value})
    if kind is float:
        return [0.9] if value is None else sorted({value / 2, (value + 1) / 2, value + 1} - {value})
    if kind is str:
        return next([text] for end, text in TEXTS.items() if name.endswith(end))
    raise AssertionError(f"{name}: say what other values {kind} has")


def _bare(annotation: Any) -> Any:
    """The type without what is annotated."""
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


def _with(values: Values, path: tuple[str, ...], value: Any) -> Values:
    changed = deepcopy(values)
    *sections, last = path
    target: Any = changed
    for name in sections:
        target = target[int(name)] if isinstance(target, list) else target.setdefault(name, {})
    if isinstance(value, dict):
        target[last] = target.get(last, {}) | value
    else:
        target[last] = value
    return changed


def _planned(entry: FlowEntry, values: Values) -> frozenset[ArtifactRef] | None:
    """Addresses of the flow's stages; None where the values are not legal."""
    try:
        planned, _ = plan(entry, entry.config.model_validate(values))
    except (ValidationError, InputError):
        return None
    return frozenset(line.ref for line in planned.lines)


def _changes(entry: FlowEntry, base: Values, path: tuple[str, ...], role: Role, others: list[Any]) -> bool | None:
    """Whether another value of a field changes the plan; None where no other value is legal."""
    before, found = _planned(entry, base), None
    assert before is not None, path
    for other in others:
        after = _planned(entry, _with(base, path, other))
        if after is not None and (after != before or role is Role.RUNTIME):
            return after != before
        found = found if after is None else False
    return found


@pytest.mark.parametrize("flow", flow_names())
def test_every_field_enters_fingerprints_exactly_as_its_role_says(flow: str, folder: Path) -> None:
    entry = find_flow(flow)
    found = {}
    for path, role, others in _fields(_parameters(flow)):
        name = ".".join(path)
        values = BASES[flow]
        for end, beside in BESIDE.items():
            if name.endswith(end):
                values = _with(values, path[: -len(end.split(".")) + 1], beside)
        values = values | ELSEWHERE.get(f"{flow} {name}", {})
        if not any(f"{flow} {name}".endswith(end) for end in INERT):
            found[name] = _changes(entry, values, path, role, others), role is not Role.RUNTIME
    assert {name: changes for name, (changes, told) in found.items() if changes is not told} == {}


@pytest.mark.parametrize("flow", flow_names())
def test_parameters_of_a_flow_are_those_that_its_entry_has(flow: str) -> None:
    assert parameters_of(flow) is find_flow(flow).config
