"""Any number of labels for each image or text, each by a sigmoid of its own. Axes: b batch, n examples, k labels."""

from collections import Counter
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pipeline.config import paths
from pipeline.config.preprocessing import ImagePreprocessing, TextPreprocessing
from pipeline.examples.batch import Batch, LossSums
from pipeline.examples.inputs import Inputs
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.tasks.classification import (
    PRINTED,
    ClassSettings,
    Counts,
    Labels,
    note_baseline,
    refuse_unseen_labels,
)
from pipeline.tasks.scaled import Scaled

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.config.evaluation import EvaluationSettings
    from pipeline.config.networks import NetworkSettings
    from pipeline.evaluation.comparison.predictions import Predictions, Read
    from pipeline.evaluation.failures.outcomes import Outcomes
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.evaluation.report.headlines import Headline
    from pipeline.packaging.onnx.graph import Graph, Value

SEPARATORS = ";|,/"  # what usually stands between labels in a cell
THRESHOLDS = paths.EVALUATION / "thresholds.json"


class MultiLabelClassification(Scaled):
    preprocessing: ClassVar = {"image": ImagePreprocessing, "text": TextPreprocessing}
    labels_are: ClassVar = "labels"
    class_word: ClassVar = "labels"
    Settings: ClassVar = ClassSettings
    metric: ClassVar = "micro_f1"
    metrics: ClassVar = {"micro_f1": True, "macro_f1": True, "loss": False}
    headlines: ClassVar = ("micro_f1", "macro_f1", "average_precision", "loss", "brier", "ece")

    name: str = "multi-label-classification"
    labels: Labels
    counts: Counts  # of the training examples with each label
    examples: int  # in the training split

    @classmethod
    def check_labels(cls, source: str, labels: dict[str, Counter[str]]) -> None:
        """Raises UserError where training has fewer than two labels, or another split has one that training lacks."""
        if len(labels["train"]) < 2:
            found = ", ".join(labels["train"]) or "none"
            raise UserError(f"{source}: at least two labels are needed in training, which has {found}")
        joined = [label for label in labels["train"] if any(mark in label for mark in SEPARATORS)]
        if 2 * len(joined) > len(labels["train"]):
            print(f"note: labels such as {joined[0]!r} look like several: check separator")
        refuse_unseen_labels(source, labels)

    @classmethod
    def encode(cls, inputs: Inputs, report: dict[str, Any]) -> Self:
        """An example without any label is an example: its row is all zeros."""
        from pipeline.encoding import tables

        labels = tuple(sorted({label for labels in tables.column("train", "label") for label in labels}))
        number, counts, examples = {label: i for i, label in enumerate(labels)}, np.zeros(len(labels), int), 0
        for split in tables.splits():
            targets = np.zeros((tables.rows(split), len(labels)), np.uint8)
            for row, found in zip(targets, tables.column(split, "label")):
                row[[number[label] for label in found]] = 1
            tables.save(split, targets=targets)
            report[split]["without_labels"] = int((targets.sum(axis=1) == 0).sum())
            if split == "train":
                counts, examples = targets.sum(axis=0, dtype=int), len(targets)
        for label, count in zip(labels, counts):
            if count == examples:
                print(f"note: every training example has the label {label!r}: there is nothing to learn about it")
        return cls(inputs=inputs, labels=labels, counts=tuple(counts.tolist()), examples=examples)

    @property
    def summary(self) -> str:
        return f"{len(self.labels)} labels, {sum(self.counts) / self.examples:.2f} an example"

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def loss(self, logits: Float[Array, "b k"], batch: Batch, *, training: bool, label_smoothing: float) -> LossSums:
        from pipeline.examples import loss

        is_balanced = isinstance(self.settings, ClassSettings) and self.settings.class_weights == "balanced"
        weights = loss.balanced_positives(self.counts, self.examples) if training and is_balanced else None
        return loss.binary_cross_entropy(logits, batch, label_smoothing=label_smoothing, positive_weights=weights)

    def predictions(self, logits: Float[Array, "b k"]) -> Float[Array, "b k"]:
        """The probability of each label."""
        return jax.nn.sigmoid(self.scaled(logits))

    def evidence(self, logits: Float[Array, "b k"], outputs: Int[Array, " b"]) -> Float[Array, " b"]:
        """The log odds of the label's own probability."""
        return jnp.take_along_axis(self.scaled(logits), outputs[:, None], axis=-1)[:, 0]

    def onnx_predictions(self, g: "Graph", logits: "Value") -> "Value":
        return g("Sigmoid", self.onnx_scaled(g, logits))

    def figure(self, metric: str, logits: Float[np.ndarray, "n k"], targets: np.ndarray) -> float:
        """With the threshold 0.5: those of the labels are chosen when training is done."""
        from pipeline.evaluation import validation

        return validation.macro_f1_of_many(logits > 0, targets > 0)

    def fitted(
        self, outputs: Float[np.ndarray, "n k"], targets: np.ndarray, settings: "EvaluationSettings"
    ) -> dict[str, Any]:
        """And each label's threshold: the one with the highest F1."""
        from pipeline.evaluation import multi_label
        from pipeline.evaluation.calibration import fitting

        fitted, probabilities = fitting.of_labels(outputs, targets > 0)
        thresholds = multi_label.thresholds(probabilities, targets > 0)
        strict_json.write(THRESHOLDS, dict(zip(self.labels, thresholds.tolist())))
        return fitted

    def evaluate(self, split: str, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        """The baseline gives every example the labels that more than half of the training examples have."""
        import pandas as pd
        import scipy.special

        from pipeline.evaluation import multi_label, sources
        from pipeline.evaluation.calibration import measuring
        from pipeline.evaluation.failures import label_errors
        from pipeline.evaluation.predictor import predict
        from pipeline.loaders import buckets

        test = buckets.load(paths.features(split), self.inputs)
        logits = predict(predictor, tree["params"], tree["model_state"], test).astype(np.float64)
        plain, probabilities = (scipy.special.expit(logits / temperature) for temperature in (1, self.temperature))
        targets, thresholds = np.asarray(test.targets) > 0, np.array(self._thresholds())
        guesses = probabilities >= thresholds[None]
        columns = {
            "id": np.load(paths.features(split) / "ids.npy").astype(str),
            **sources.columns(split),
            "labels": self._names(targets),
            "prediction": self._names(guesses),
        }
        columns |= {f"probability of {label}": probabilities[:, i] for i, label in enumerate(self.labels)}
        pd.DataFrame(columns).to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
        label_errors.write(split, label_errors.of_label_sets(self.labels, probabilities, targets, thresholds))
        by_label = multi_label.per_label(probabilities, guesses, targets, thresholds, self.labels)
        by_label.to_csv(paths.EVALUATION / f"per_class_{split}.csv", index=False, lineterminator="\n")
        baseline = np.broadcast_to(2 * np.array(self.counts) > self.examples, targets.shape)
        results = multi_label.figures(probabilities, guesses, targets, baseline)
        results |= measuring.of_labels(split, plain, probabilities, targets, self.temperature)
        results |= measuring.ranks(split, probabilities, targets, self.labels)
        if len(self.labels) <= PRINTED:
            print(by_label.to_string(index=False, max_colwidth=60, float_format="{:.3f}".format))
        print(
            f"{split}: micro F1 {results['micro']['f1']:.4f} (95 % interval {results['micro']['f1_low']:.4f} to "
            f"{results['micro']['f1_high']:.4f}; the baseline's {results['baseline_micro_f1']:.4f}), macro F1 "
            f"{results['macro_f1']:.4f}, mean average precision {results.get('average_precision', nan):.4f}"
        )
        micro = results["micro"]
        note_baseline(split, reached=micro["f1"], low=micro["f1_low"], baseline=results["baseline_micro_f1"])
        return {"examples": len(targets), **results}

    @classmethod
    def compared(cls, read: "Read", split: str) -> "Predictions":
        from pipeline.evaluation.comparison import predictions

        return predictions.of_label_sets(read(f"{split}.parquet"))

    def outcomes(self, split: str) -> "Outcomes":
        from pipeline.evaluation.failures import outcomes

        table, thresholds = outcomes.read(split), np.array(self._thresholds())
        probabilities = table[[f"probability of {label}" for label in self.labels]].to_numpy()
        targets = np.load(paths.features(split) / "targets.npy") > 0
        given = probabilities >= thresholds[None]
        return outcomes.of_label_sets(self.labels, probabilities, given, targets, thresholds)

    def headline(self, figures: dict[str, Any]) -> "Headline":
        from pipeline.evaluation.report import headlines

        return headlines.micro_f1(figures)

    def doubts(self, split: str, logits: np.ndarray) -> "pd.DataFrame":
        import scipy.special

        from pipeline.evaluation import multi_label
        from pipeline.evaluation.failures import label_errors

        targets = np.load(paths.features(split) / "targets.npy") > 0
        probabilities = scipy.special.expit(logits.astype(np.float64))
        thresholds = multi_label.thresholds(probabilities, targets)
        return label_errors.of_label_sets(self.labels, probabilities, targets, thresholds)

    def _names(self, chosen: Bool[np.ndarray, "n k"]) -> list[list[str]]:
        return [[self.labels[i] for i in np.flatnonzero(row)] for row in chosen]

    def package_files(self, folder: Path) -> None:
        strict_json.write(folder / "labels.json", {"labels": self.labels, "thresholds": self._thresholds()})

    def _thresholds(self) -> list[float]:
        thresholds = strict_json.read(THRESHOLDS)
        return [thresholds[label] for label in self.labels]

    def card(self, figures: dict[str, Any], **names: Any) -> str:
        from pipeline.packaging import model_card

        micro = figures["micro"]
        rows = {
            "micro F1": f"{micro['f1']:.4f} (95 % interval {micro['f1_low']:.4f} to {micro['f1_high']:.4f})",
            "micro F1 of the baseline": f"{figures['baseline_micro_f1']:.4f}",
            "macro F1": f"{figures['macro_f1']:.4f}",
            "mean average precision": f"{figures.get('average_precision', nan):.4f}",
            **model_card.calibration(figures),
            "all labels right": f"{figures['exact_match']:.4f}",
            "coverage error": f"{figures.get('coverage_error', nan):.4g}",
        }
        classes = model_card.read_table(paths.EVALUATION / "per_class_test.csv").head(model_card.ROWS)
        listed = ", ".join(map(model_card.plain, self.labels[: model_card.ROWS]))
        return model_card.labelled(
            self,
            what=f"Gives any number of {len(self.labels)} labels: {listed}.",
            metrics="f1",
            figures=rows,
            details=f"By label, on the same {figures['examples']:,} test examples:\n\n{model_card.markdown(classes)}",
            limits="It knows only these labels. A label is given where its probability reaches its threshold.",
            **names,
        )

    def answers(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import pandas as pd

        from pipeline.runtime.tasks.multi_label_classification import MultiLabelClassification as Answers

        table = pd.read_parquet(paths.EVALUATION / "test.parquet")
        rows = table[[f"probability of {label}" for label in self.labels]].to_numpy()
        answers = Answers(self.labels, self._thresholds())
        return [answers.answer(row) for row in rows[: len(samples)]]
