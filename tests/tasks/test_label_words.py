"""The stages `label_words` and `train_compressor`: labels for every word once, and a classifier that learned them."""

from __future__ import annotations

from latent_core.config.label_words import LabelReading, LabelWordsConfig
from latent_core.config.train_compressor import TrainCompressorConfig
from tasks.label_words import LabelWordsInputs, label_words
from tasks.tables import HELD_OUT, LABELLED
from tasks.train_compressor import TrainCompressorInputs, train_compressor
from tests.support.stage_bench import MINI, TRAINING, StageBench

TINY = TrainCompressorConfig(vocabulary=200, layers=1, hidden=32, heads=2, feed_forward=32, epochs=1.0)


def test_label_words_labels_each_worked_solution_and_keeps_the_last_apart(bench: StageBench) -> None:
    config = LabelWordsConfig(questions=4, held_out=2, reading=LabelReading.CONVERSATION)
    made = bench.perform(label_words.call(config, LabelWordsInputs(TRAINING, MINI)))
    problems = TRAINING.open().problems(0, 6)
    labelled, held_out = list(LABELLED.rows(made)), list(HELD_OUT.rows(made))
    assert [row["text"] for row in labelled + held_out] == [problem.rationale for problem in problems]
    assert (len(labelled), len(held_out)) == (4, 2)
    for row in labelled:
        words = [row["text"][start:end] for start, end in zip(row["starts"], row["ends"], strict=True)]
        assert len(words) == len(row["labels"]) and set(row["labels"]) == {0, 1}
        assert "".join(words) == row["text"].replace(" ", "")
    assert made.manifest.content.accounting == {"kept": 6, "no_rationale": 0, "repeated": 0}


def test_train_compressor_reads_one_corpus_or_several_and_says_how_well_it_agrees(bench: StageBench) -> None:
    def corpus(name: str) -> dict[str, object]:
        text = f"{name} keep drop keep drop"
        ends = [len(" ".join(text.split()[: index + 1])) for index in range(5)]
        starts = [end - len(word) for end, word in zip(ends, text.split(), strict=True)]
        return {"text": text, "starts": starts, "ends": ends, "labels": [1, 1, 0, 1, 0]}

    one, other = (
        bench.input("label_words", {LABELLED: [corpus(name)] * count, HELD_OUT: [corpus(f"{name}other")]})
        for name, count in (("first", 3), ("second", 5))
    )
    alone = bench.perform(train_compressor.call(TINY, TrainCompressorInputs(labels=one)))
    both = bench.perform(train_compressor.call(TINY, TrainCompressorInputs(corpora=(one, other))))
    assert alone.manifest.content.accounting == {"kept": 3, "held_out": 1}
    assert both.manifest.content.accounting == {"kept": 8, "held_out": 2}
    assert set(alone.manifest.content.parents) == {"labels"}
    assert set(both.manifest.content.parents) == {"labels_0", "labels_1"}
    metrics = both.manifest.content.metrics
    assert metrics["held_out_words"] == 10 and all(0 <= number <= 1 for number in metrics["model"])
    assert (both.directory("model") / "config.json").is_file()
