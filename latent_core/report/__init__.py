"""The report of a comparison: one table, figures and a self-contained HTML page from the evaluations' summaries."""

from __future__ import annotations

from latent_core.report.entries import Evaluation, Pace, Place, Provenance, ReportEntry, build_entries
from latent_core.report.html import render_report
from latent_core.report.plots import figures

__all__ = ["Evaluation", "Pace", "Place", "Provenance", "ReportEntry", "build_entries", "figures", "render_report"]
