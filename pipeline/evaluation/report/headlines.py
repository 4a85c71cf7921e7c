"""The one figure to remember of each kind of task, in plain words: a task chooses which of these is its own."""

from typing import Any, NamedTuple

from pipeline.evaluation.report import wording


class Headline(NamedTuple):
    """`low` and `high` are None where the figures have no interval of their own: then that over groups is shown."""

    name: str
    value: float
    low: float | None
    high: float | None
    baseline: float
    baseline_name: str  # what the baseline does
    says: str  # what the figure says of the model, with {figure} in it
    baseline_says: str  # and of the baseline, with {figure}
    is_share: bool = True  # and more of it is better; else less is
    unit: str = ""

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the whole interval is better than the baseline; None where there is no interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > self.baseline if self.is_share else self.high < self.baseline

    def text(self, value: float | None) -> str:
        return wording.figure(value, is_share=self.is_share, unit=self.unit)


def accuracy(figures: dict[str, Any], baseline: str) -> Headline:
    """`baseline` says what the baseline does."""
    return Headline(
        "accuracy",
        figures["accuracy"],
        figures["accuracy_low"],
        figures["accuracy_high"],
        figures["baseline_accuracy"],
        baseline,
        "the model is right {figure} of the time",
        "would be right {figure} of the time",
    )


def micro_f1(figures: dict[str, Any]) -> Headline:
    micro = figures["micro"]
    return Headline(
        "micro F1",
        micro["f1"],
        micro["f1_low"],
        micro["f1_high"],
        figures["baseline_micro_f1"],
        "always giving the labels that most training examples have",
        "the labels that the model gives agree with the true ones by {figure} (micro F1)",
        "would reach {figure}",
    )


def error(figures: dict[str, Any], target: str, unit: str) -> Headline:
    of = figures[target]
    return Headline(
        f"mean absolute error of {target}",
        of["mae"],
        of["mae_low"],
        of["mae_high"],
        of["baseline_mae"],
        "always answering the average of the training data",
        f"the model's {target} is off by {{figure}} on average",
        "would be off by {figure}",
        is_share=False,
        unit=unit,
    )


def nats(figures: dict[str, Any]) -> Headline:
    return Headline(
        "nats a character",
        figures["nats_per_character"],
        None,
        None,
        figures["baseline_nats_per_character"],
        "guessing by how frequent each token is",
        "the model needs {figure} a character, where less is better",
        "would need {figure}",
        is_share=False,
        unit="nats",
    )
