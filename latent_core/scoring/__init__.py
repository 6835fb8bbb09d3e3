"""Scoring: from a completion to a verdict (extraction, grading), and from verdicts to intervals (`statistics`)."""

from __future__ import annotations

from latent_core.scoring.extraction import extract_answer, split_reasoning
from latent_core.scoring.grading import Detail, Outcome, Submission, Verdict, grade, grade_many

__all__ = ["Detail", "Outcome", "Submission", "Verdict", "extract_answer", "grade", "grade_many", "split_reasoning"]
