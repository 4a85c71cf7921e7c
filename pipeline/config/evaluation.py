"""The section `evaluation` of params.yaml: what evaluate alone reads, so that a change of it trains nothing."""

from pydantic import Field

from pipeline.config.section import Section


class EvaluationSettings(Section):
    sure_accuracy: float | None = Field(default=None, gt=0, lt=1)
    """Of one label each, or tags: answers say whether they are sure, so that those that are reach this accuracy, 0.95
    say. The threshold is chosen on the validation split. Empty: they say nothing."""
    interval: float = Field(default=0.9, gt=0, lt=1)
    """Of numbers: the share of true values that the interval from `low` to `high` is to hold."""
