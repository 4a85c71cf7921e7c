"""One label for each image or text, by a softmax over the labels. Axes: b batch, n examples, k labels."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import jax
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field

from pipeline.config import paths
from pipeline.config.preprocessing import ImagePreprocessing, TextPreprocessing
from pipeline.examples.batch import Batch, LossSums
from pipeline.examples.inputs import Inputs
from pipeline.examples.task import TaskSettings
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.tasks.labelled import Labelled
from pipeline.tasks.scaled import Scaled

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.config.evaluation import EvaluationSettings
    from pipeline.config.networks import NetworkSettings
    from pipeline.evaluation.comparison.predictions import Predictions, Read
    from pipeline.evaluation.failures.outcomes import Outcomes
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.evaluation.report.headlines import Headline

PRINTED = 30  # classes in a printed table, at most

Labels = Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
Counts = Annotated[tuple[int, ...], Field(strict=False, min_length=2)]


class ClassSettings(TaskSettings):
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: in training, each class weighs the same in total; of several labels, examples with a label weigh the
    same as those without it."""


class Classification(Scaled):
    preprocessing: ClassVar = {"image": ImagePreprocessing, "text": TextPreprocessing}
    labels_are: ClassVar = "label"
    class_word: ClassVar = "classes"
    Settings: ClassVar = ClassSettings
    metric: ClassVar = "accuracy"
    metrics: ClassVar = {"accuracy": True, "macro_f1": True, "loss": False}
    headlines: ClassVar = ("accuracy", "macro_f1", "loss", "brier", "ece")

    name: str = "classification"
    labels: Labels
    counts: Counts  # of each label in the training split

    @classmethod
    def check_labels(cls, source: str, labels: dict[str, Counter[str]]) -> None:
        """Raises UserError where training has a single label, or another split has labels that training lacks."""
        refuse_single_label(source, labels["train"])
        refuse_unseen_labels(source, labels)

    @classmethod
    def encode(cls, inputs: Inputs, report: dict[str, Any]) -> Self:
        from pipeline.encoding import tables

        labels = tuple(sorted(set(tables.column("train", "label"))))
        number = {label: i for i, label in enumerate(labels)}
        counts = np.zeros(len(labels), int)
        for split in tables.splits():
            targets = np.array([number[label] for label in tables.column(split, "label")], np.int32)
            tables.save(split, targets=targets)
            if split == "train":
                counts = np.bincount(targets, minlength=len(labels))
        return cls(inputs=inputs, labels=labels, counts=tuple(counts.tolist()))

    @property
    def summary(self) -> str:
        return f"{len(self.labels)} labels"

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def loss(self, logits: Float[Array, "b k"], batch: Batch, *, training: bool, label_smoothing: float) -> LossSums:
        return class_loss(self.settings, self.counts, logits, batch, training=training, label_smoothing=label_smoothing)

    def predictions(self, logits: Float[Array, "b k"]) -> Float[Array, "b k"]:
        """The probability of each label."""
        return jax.nn.softmax(self.scaled(logits))

    def figure(self, metric: str, logits: Float[np.ndarray, "n k"], targets: np.ndarray) -> float:
        from pipeline.evaluation import validation

        return validation.macro_f1(logits.argmax(-1), targets, len(self.labels))

    def fitted(
        self, outputs: Float[np.ndarray, "n k"], targets: np.ndarray, settings: "EvaluationSettings"
    ) -> dict[str, Any]:
        from pipeline.evaluation.calibration import fitting

        return fitting.of_classes(outputs, targets, settings, lambda probabilities: probabilities.argmax(-1))

    def evaluate(self, split: str, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        """The baseline always predicts the most frequent label of the training split."""
        from pipeline.evaluation import metrics, plots
        from pipeline.evaluation.calibration import measuring
        from pipeline.evaluation.failures import label_errors
        from pipeline.evaluation.predictor import predict
        from pipeline.loaders import buckets

        test = buckets.load(paths.features(split), self.inputs)
        logits = predict(predictor, tree["params"], tree["model_state"], test)
        probabilities = metrics.softmax(logits / self.temperature)
        targets, guesses = np.asarray(test.targets), probabilities.argmax(-1)
        self._table(split, probabilities, targets).to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
        label_errors.write(split, self.doubts(split, logits))
        by_class = metrics.per_class(guesses, targets, self.labels)
        by_class.to_csv(paths.EVALUATION / f"per_class_{split}.csv", index=False, lineterminator="\n")
        results = metrics.classification(probabilities, targets)
        if len(self.labels) <= PRINTED:
            print(by_class.to_string(index=False, max_colwidth=60, float_format="{:.3f}".format))
        baseline = float((targets == int(np.argmax(self.counts))).mean())
        results = {"examples": len(targets), "baseline_accuracy": baseline, **results}
        print_accuracy(split, results)
        fitted = strict_json.read(paths.FITTED)
        results |= measuring.of_classes(split, metrics.softmax(logits), probabilities, guesses, targets, fitted)
        truths = targets[:, None] == np.arange(len(self.labels))[None]
        rarer = int(np.argmin(self.counts)) if len(self.labels) == 2 else None
        results |= measuring.ranks(split, probabilities, truths, self.labels, rarer)
        if split == "test":
            plots.write_confusion(targets, guesses, self.labels, errors_only=False)
        return results

    def _table(self, split: str, probabilities: Float[np.ndarray, "n k"], targets: np.ndarray) -> "pd.DataFrame":
        """A row an example, in the order of the split: id, source, label, prediction, and each label's probability."""
        import pandas as pd

        from pipeline.evaluation import sources

        names = np.array(self.labels)
        columns = {
            "id": np.load(paths.features(split) / "ids.npy").astype(str),
            **sources.columns(split),
            "label": names[targets],
            "prediction": names[probabilities.argmax(-1)],
        }
        return pd.DataFrame(columns | {f"probability of {name}": probabilities[:, i] for i, name in enumerate(names)})

    @classmethod
    def compared(cls, read: "Read", split: str) -> "Predictions":
        from pipeline.evaluation.comparison import predictions

        return predictions.of_classes(read(f"{split}.parquet"))

    def outcomes(self, split: str) -> "Outcomes":
        from pipeline.evaluation.failures import outcomes

        table = outcomes.read(split)
        probabilities = table[[f"probability of {label}" for label in self.labels]].to_numpy()
        return outcomes.of_labels(self.labels, probabilities, np.load(paths.features(split) / "targets.npy"))

    def headline(self, figures: dict[str, Any]) -> "Headline":
        from pipeline.evaluation.report import headlines

        return headlines.accuracy(figures, "always answering the most frequent class")

    def doubts(self, split: str, logits: np.ndarray) -> "pd.DataFrame":
        from pipeline.evaluation import metrics
        from pipeline.evaluation.failures import label_errors

        targets = np.load(paths.features(split) / "targets.npy")
        return label_errors.of_labels(self.labels, metrics.softmax(logits), targets)

    def package_files(self, folder: Path) -> None:
        strict_json.write(folder / "labels.json", {"labels": self.labels, **self.sure_answers()})

    def card(self, figures: dict[str, Any], **names: Any) -> str:
        from pipeline.packaging import model_card

        rows = model_card.accuracy(figures) | {
            "macro F1": f"{figures['macro_f1']:.4f}",
            **model_card.calibration(figures),
        }
        return class_card(self, self.labels, figures, rows, **names)

    def answers(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import pandas as pd

        from pipeline.runtime.tasks.classification import Classification as Answers

        table = pd.read_parquet(paths.EVALUATION / "test.parquet")
        rows = table[[f"probability of {label}" for label in self.labels]].to_numpy()
        answers = Answers(self.labels, self.least_sure)
        return [answers.answer(row) for row in rows[: len(samples)]]


def refuse_single_label(source: str, labels: Counter[str]) -> None:
    if len(labels) < 2:
        (label,) = labels
        raise UserError(f"{source}: every training example has the label {label!r}; at least two labels are needed")


def refuse_unseen_labels(source: str, labels: dict[str, Counter[str]]) -> None:
    """Raises UserError with all labels that training lacks."""
    unseen = {split: sorted(counts.keys() - labels["train"].keys()) for split, counts in labels.items()}
    named = [f"{', '.join(map(repr, names))} in the {split} split" for split, names in unseen.items() if names]
    if named:
        raise UserError(
            f"{source}: training lacks labels that are held out: {'; '.join(named)}: add training examples of each, or "
            "remove the held-out ones"
        )


def class_loss(
    settings: TaskSettings | None,
    counts: tuple[int, ...],
    logits: Float[Array, "b *t k"],
    batch: Batch,
    *,
    training: bool,
    label_smoothing: float,
) -> LossSums:
    """Cross-entropy; in training each class weighs the same if the settings say so."""
    from pipeline.examples import loss

    is_balanced = isinstance(settings, ClassSettings) and settings.class_weights == "balanced"
    weights = loss.balanced(counts) if training and is_balanced else None
    return loss.cross_entropy(logits, batch, label_smoothing=label_smoothing, class_weights=weights)


def print_accuracy(split: str, results: dict[str, Any]) -> None:
    """The accuracy beside that of the baseline, and a note where it is not clearly above it."""
    accuracy, low, high = (results[name] for name in ("accuracy", "accuracy_low", "accuracy_high"))
    baseline = results["baseline_accuracy"]
    macro = f", macro F1 {results['macro_f1']:.4f}" if "macro_f1" in results else ""
    print(
        f"{split} accuracy {accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}; baseline {baseline:.4f}){macro}, "
        f"loss {results['loss']:.4f}"
    )
    note_baseline(split, reached=accuracy, low=low, baseline=baseline)


def note_baseline(what: str, *, reached: float, low: float, baseline: float) -> None:
    """Prints a note where the interval's lower end is not above what the baseline reaches."""
    if low <= baseline:
        how = "below" if reached < baseline else "not clearly above"
        print(f"note: {what}: the model is {how} its baseline: train longer, or look at the data")


def class_card(
    task: Labelled, labels: tuple[str, ...], figures: dict[str, Any], rows: dict[str, str], **names: Any
) -> str:
    """The model card of a task with one of several labels for each target."""
    from pipeline.packaging import model_card

    classes = model_card.read_table(paths.EVALUATION / "per_class_test.csv")
    if len(classes) > model_card.ROWS:
        classes = classes.sort_values("examples", ascending=False, kind="stable").head(model_card.ROWS)
    listed = ", ".join(map(model_card.plain, labels[: model_card.ROWS]))
    listed += ", ..." if len(labels) > model_card.ROWS else ""
    return model_card.labelled(
        task,
        what=f"Chooses one of {len(labels)} labels: {listed}.",
        metrics="accuracy",
        figures=rows,
        details=f"By class, on the same {figures['examples']:,} test examples:\n\n{model_card.markdown(classes)}",
        limits=f"It knows only its {len(labels)} labels, and gives one of them to any input.",
        **names,
    )
