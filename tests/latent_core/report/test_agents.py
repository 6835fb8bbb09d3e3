"""The report of agents: means and Student's intervals over seeds, differences, and a page that is whole and inert."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from scipy import stats

from latent_core.report import Provenance
from latent_core.report.agents import OPTIMUM, PLACEBO, RANDOM, START, TRAINED, Agents, Member, student
from latent_core.report.agents_page import render_agents
from latent_core.report.agents_plots import agents_figures
from latent_core.report.agents_tables import arms_table, differences_table
from latent_core.report.episodes import chosen, shown_episode

HOSTILE = "</span><script>alert(1)</script>"


def played(value: float, **changes: Any) -> dict[str, Any]:
    """What the stage `play` measures, of ten episodes."""
    return {
        "episodes": 10,
        "instances": 10,
        "return": {"value": value, "low": value - 0.1, "high": value + 0.1},
        "success": {"value": value, "low": 0.0, "high": 1.0},
        "ends": {"format": 1, "terminated": 9},
        "format_rate": 0.9,
        "turns": 3.0,
        "tokens_per_turn": 20.0,
    } | changes


def steps(first: float) -> list[dict[str, float]]:
    keys = ("return", "format_rate", "within_group_std", "latent_share", "turns", "tokens_per_turn")
    return [{"step": float(step)} | dict.fromkeys(keys, first + 0.1 * step) for step in range(3)]


RANDOM_PLAY = {
    "return": {"value": 0.25, "low": 0.2, "high": 0.3},
    "success": {"value": 0.25, "low": 0.2, "high": 0.3},
    "turns": 4.0,
}


def agents(reference: Mapping[str, Any] | None = None) -> Agents:
    """Start at 0.3; trained at 0.6, 0.7 and 0.8; placebo at 0.3, 0.3 and 0.2."""
    measured = {Member(START): played(0.3)}
    measured |= {Member(TRAINED, seed): played(0.5 + seed / 10) for seed in (1, 2, 3)}
    measured |= {Member(PLACEBO, seed): played(value) for seed, value in ((1, 0.3), (2, 0.3), (3, 0.2))}
    curves = {member: steps(0.1) for member in measured if member.arm != START}
    returns = {
        member: {seed: it["return"]["value"] + (-0.1) ** (1 + seed % 2) for seed in range(10)}
        for member, it in measured.items()
    }
    return Agents("Agents in a lake", measured, curves, reference or {"random": RANDOM_PLAY, "optimum": 1.0}, returns)


def test_arms_stand_between_random_play_and_the_optimum_with_an_interval_over_seeds() -> None:
    rows = {row.arm: row for row in agents().arms()}
    assert list(rows) == [RANDOM, START, TRAINED, PLACEBO, OPTIMUM]
    trained = rows[TRAINED]
    reach = float(stats.t.isf(0.025, 2)) * 0.1 / 3**0.5
    assert trained.interval is not None and trained.value == pytest.approx(0.7)
    assert trained.interval[1:] == pytest.approx((0.7 - reach, 0.7 + reach)) and trained.over == "seeds"
    assert trained.ends == {"format": 3, "terminated": 27} and trained.seeds == (1, 2, 3)
    assert rows[START].interval == (0.3, pytest.approx(0.2), pytest.approx(0.4))
    assert rows[START].over == rows[RANDOM].over == "instances" and rows[OPTIMUM].value == 1.0


def test_difference_to_the_placebo_pairs_equal_seeds() -> None:
    start, placebo = agents().differences()
    assert (start.control, placebo.control) == (START, PLACEBO)
    assert start.each_seed == pytest.approx((0.3, 0.4, 0.5)) and placebo.each_seed == pytest.approx((0.3, 0.4, 0.6))
    assert placebo.value == pytest.approx(1.3 / 3) and placebo.instances == 10
    expected = student(placebo.each_seed)
    assert placebo.interval is not None and expected is not None
    assert placebo.interval[1:] == pytest.approx(expected[1:], abs=0.005)


def test_one_seed_has_no_interval_and_says_so_with_a_dash() -> None:
    found = agents()
    one = replace(found, played={member: it for member, it in found.played.items() if member.seed in (None, 1)})
    (trained,) = (row for row in arms_table(one).rows if row[0] == TRAINED)
    assert trained[1:5] == ["1", "0.600", "–", "–"]
    assert [row[3] for row in differences_table(one).rows] == ["–", "–"]


def test_success_has_a_dash_where_the_environment_never_tells_it() -> None:
    found = agents({"random": RANDOM_PLAY | {"success": None}, "optimum": None})
    never = {"success": {"value": 0.0, "low": 0.0, "high": 0.3}}
    untold = replace(found, played={member: {**it, **never} for member, it in found.played.items()})
    column = arms_table(untold).titles.index("Success")
    assert {row[column] for row in arms_table(untold).rows} == {"–"}
    unknown = agents({"random": None, "optimum": None})
    assert [row[column] for row in arms_table(unknown).rows] == ["30.0 %", "70.0 %", "26.7 %"]


def test_success_that_a_limit_hid_from_random_play_is_told_of_models() -> None:
    cut = agents({"random": RANDOM_PLAY | {"success": None}, "optimum": None})
    column = arms_table(cut).titles.index("Success")
    assert [row[column] for row in arms_table(cut).rows] == ["–", "30.0 %", "70.0 %", "26.7 %"]


def test_json_holds_what_the_table_is_computed_from() -> None:
    found = json.loads(json.dumps(agents().to_json()))
    models = {Member(one["arm"], one["seed"]): one for one in found["models"]}
    again = Agents(
        found["title"],
        {member: one["play"] for member, one in models.items()},
        {member: one["steps"] for member, one in models.items() if "steps" in one},
        found["reference"],
        agents().returns,
    )
    assert again.arms() == agents().arms() and again.curves == agents().curves
    assert arms_table(again) == arms_table(agents())


def test_model_whose_every_episode_was_aborted_is_no_row() -> None:
    found = agents()
    nothing = replace(found, played={**found.played, Member(PLACEBO, 2): {"episodes": 0}})
    assert [row.arm for row in nothing.arms()] == [RANDOM, START, TRAINED, OPTIMUM]
    assert [one.control for one in nothing.differences()] == [START]


def test_figures_have_a_line_a_seed_and_reference_lines_and_are_the_same_again() -> None:
    found = agents_figures(agents())
    assert list(found) == ["learning", "diagnostics"] and found == agents_figures(agents())
    for svg in found.values():
        ElementTree.fromstring(svg)
    lines = found["learning"].count(b'id="line2d_')
    fewer = agents({"random": None, "optimum": None})
    assert lines > agents_figures(fewer)["learning"].count(b'id="line2d_')
    less = replace(fewer, curves={member: it for member, it in fewer.curves.items() if member.seed != 3})
    drawn = [agents_figures(one)["learning"].count(b"stroke-opacity: 0.4") for one in (fewer, less)]
    assert drawn == [12, 8]  # two panels, two arms, a line a seed
    assert agents_figures(replace(fewer, curves={})) == {}


def test_diagnosed_agents_have_a_figure_of_their_reasoning() -> None:
    found = agents()
    more = {"mutual_information": 1.0, "retrieval_at_1": 0.5, "chance_at_1": 0.125, "sampler_kl": 0.0}
    diagnosed = {member: [dict(step) | more for step in curve] for member, curve in found.curves.items()}
    drawn = agents_figures(replace(found, curves=diagnosed))
    assert list(drawn) == ["learning", "diagnostics", "reasoning"]
    assert b">mutual information, nats<" in drawn["reasoning"] and b"first token" not in drawn["reasoning"]


def turn(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "seed": 5,
        "sample": 0,
        "turn": number,
        "said": "Where to?\n<think>\n",
        "wrote": "I go left.\n</think>\n\n<answer>left</answer><|im_end|>",
        "actions": ["left"],
        "reward": 0.0,
        "return": 1.0,
        "tokens": 12,
        "latent_tokens": 0,
        "end": None,
    } | changes


def test_episode_is_shown_with_its_reasoning_apart_and_latents_counted() -> None:
    rows = [turn(), turn(1, latent_tokens=6), turn(2, said="Where?", wrote="<answer>up</answer>", end="terminated")]
    first, second, third = shown_episode("best", rows).turns
    assert first.reasoning == "I go left.\n" and first.after.startswith("</think>") and first.latent == ""
    assert second.latent == "6 of 12 tokens latent"
    assert (third.reasoning, third.after) == ("", "<answer>up</answer>")
    cut = shown_episode("best", [turn(wrote="I go and go", actions=[], end="format")])
    assert (cut.turns[0].reasoning, cut.turns[0].after) == ("I go and go", "")
    assert shown_episode("best", rows).summary == "best: return 1, 3 turns, terminated"


def test_turn_shows_its_actions_its_worth_and_its_control_tokens_apart() -> None:
    said = "<|im_start|>user\nleft || <b>|| <|a b|><|im_end|><think>"
    rows = [turn(said=said, actions=["left", "up"], reward=-0.5), turn(1, actions=[], reward=0.25, end="format")]
    text = render_agents(
        agents(), {}, {"start": [shown_episode("best", rows)]}, subtitle="", notes=[], provenance=Provenance([], {})
    )
    mark = '<span class="mark">{}</span>'.format
    shown = f"{mark('&lt;|im_start|&gt;')}user\nleft || &lt;b&gt;|| &lt;|a b|&gt;{mark('&lt;|im_end|&gt;')}"
    assert shown + mark("&lt;think&gt;") in text
    assert "<li>left</li><li>up</li>" in text and text.count("no action") == 1
    assert '<span class="worth loss">reward −0.500</span>' in text and 'worth gain">reward 0.250' in text


def test_best_middle_and_worst_episode_are_chosen_once_each() -> None:
    ended = [(0.5, 1, 0), (1.0, 2, 0), (1.0, 2, 1), (0.0, 3, 0), (-0.1, 4, 0)]
    assert chosen(ended) == {(2, 0): "best", (1, 0): "middle", (4, 0): "worst"}
    assert chosen(ended[:1]) == {(1, 0): "best"} and chosen([]) == {}


def page(found: Agents, **changes: Any) -> str:
    rows = [turn(latent_tokens=3, said=f"{HOSTILE}<think>", actions=[HOSTILE], end="terminated")]
    arguments: dict[str, Any] = {
        "subtitle": "lake, 10 instances",
        "notes": [HOSTILE],
        "provenance": Provenance([{"role": "play/start", "fingerprint": "ab" * 32}], {"torch": "2"}),
    }
    return render_agents(
        found, agents_figures(found), {"start": [shown_episode("best", rows)]}, **(arguments | changes)
    )


def test_page_is_whole_inert_and_the_same_again() -> None:
    text = page(agents())
    for wanted in ("Agents in a lake", "lake, 10 instances", "0.700", "figure-learning", "ab" * 32, "3 of 12 tokens"):
        assert wanted in text, wanted
    assert "<script" not in text and text.count("&lt;script&gt;") == 3
    assert '<span class="reasoning latent">I go left.' in text
    assert text.count("<svg") == 2 and "<details>" in text and text == page(agents())


def test_values_have_a_figure_where_a_head_told_them_though_a_step_has_no_explained_variance() -> None:
    found = agents()
    assert "values" not in agents_figures(found)
    told = [step | {"value_loss": 0.5} | ({"explained_variance": 0.1} if step["step"] else {}) for step in steps(0.1)]
    figures = agents_figures(replace(found, curves=dict(found.curves) | {Member(TRAINED, 1): told}))
    assert b"explained variance" in figures["values"]
