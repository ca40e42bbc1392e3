"""Evaluation: datasets, measures, intervals, comparison, floors and the report.

Knows nothing of `bot`: retrieval is measured here, answers in `bot.evaluation`, and both are kept
in the records of this package, so that the report and the comparison read either.
"""
