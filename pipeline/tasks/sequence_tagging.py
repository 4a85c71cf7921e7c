"""One label, a tag, for each word of a sentence. Axes: b batch, t words, n words of a split, k tags."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from pipeline.config import paths
from pipeline.config.preprocessing import WordPreprocessing
from pipeline.examples.batch import Batch, LossSums
from pipeline.examples.inputs import Inputs
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.tag_grammar import OUTSIDE, Grammar, Scheme, find_scheme, split_tag, title
from pipeline.tasks.classification import (
    ClassSettings,
    Counts,
    Labels,
    class_card,
    class_loss,
    print_accuracy,
    refuse_single_label,
)
from pipeline.tasks.scaled import Scaled

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from pipeline.config.evaluation import EvaluationSettings
    from pipeline.config.networks import NetworkSettings
    from pipeline.evaluation.comparison.predictions import Predictions, Read
    from pipeline.evaluation.failures.outcomes import Outcomes
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.evaluation.report.headlines import Headline


class SequenceTagging(Scaled):
    preprocessing: ClassVar = {"words": WordPreprocessing}
    labels_are: ClassVar = "tags"
    class_word: ClassVar = "tags"
    Settings: ClassVar = ClassSettings
    metric: ClassVar = "accuracy"
    metrics: ClassVar = {"accuracy": True, "span_f1": True, "loss": False}
    headlines: ClassVar = ("accuracy", "span_f1", "loss", "brier", "ece")

    name: str = "sequence-tagging"
    labels: Labels  # the training split's tags; numbers beyond them are the tags of another split alone
    counts: Counts  # of each tag in the training split
    scheme: Scheme | None  # how the tags mark spans, if they do

    @classmethod
    def check_labels(cls, source: str, labels: dict[str, Counter[str]]) -> None:
        """Raises UserError where training has a single tag, or another split none of its tags. Some tags may be missing
        in training: that is worth a note.
        """
        refuse_single_label(source, labels["train"])
        for split, counts in labels.items():
            unseen = sorted(counts.keys() - labels["train"].keys())
            if unseen and len(unseen) == len(counts):
                raise UserError(
                    f"{source}: the {split} split has the tag {unseen[0]!r}, which training lacks: add training "
                    "examples of it, or remove the held-out ones"
                )
            for tag in unseen:
                words = f"{counts[tag]:,} words have" if counts[tag] > 1 else "one word has"
                print(
                    f"note: in the {split} split {words} the tag {tag!r}, which training lacks: counted as errors, "
                    "left out of the loss"
                )

    @classmethod
    def encode(cls, inputs: Inputs, report: dict[str, Any]) -> Self:
        """The labels are the training split's tags: nothing that training reads depends on the other splits.

        `unseen_tags.npy` names a split's tags that training lacks, numbered from `len(labels)` on; `baseline.npy` has
        each word's most frequent tag in training, -1 for a word that training lacks.
        """
        from pipeline.encoding import tables, tags

        labels = tuple(sorted(tags.different(tables.column("train", "label"))))
        frequent = tags.most_frequent(tables.column("train", "words"), tables.column("train", "label"))
        counts = np.zeros(len(labels), int)
        for split in tables.splits():
            unseen = tuple(sorted(tags.different(tables.column(split, "label")) - set(labels)))
            numbers = {tag: i for i, tag in enumerate((*labels, *unseen))}
            targets = np.array(
                [numbers[tag] for sentence in tables.column(split, "label") for tag in sentence], np.int32
            )
            words = (word for sentence in tables.column(split, "words") for word in sentence)
            baseline = [numbers[frequent[word]] if word in frequent else -1 for word in words]
            tables.save(
                split, targets=targets, baseline=np.array(baseline, np.int32), unseen_tags=np.array(unseen, str)
            )
            if split == "train":
                counts = np.bincount(targets, minlength=len(labels))
            report[split]["unseen_tags"] = {
                tag: int((targets == i).sum()) for i, tag in enumerate(unseen, start=len(labels))
            }
        scheme = find_scheme(tables.column("train", "label"))
        stray = [tag for tag in labels if split_tag(tag) == ("O", "") and tag not in OUTSIDE]
        if scheme is None and len(stray) < len(labels) / 2:
            print(
                f"note: the tags mark spans, but in no known scheme (IOB2, IOB1, BIOES, BILOU){': ' if stray else ''}"
                f"{', '.join(map(repr, stray[:3]))}: they are predicted word by word, and no spans are scored"
            )
        return cls(inputs=inputs, labels=labels, counts=tuple(counts.tolist()), scheme=scheme)

    @property
    def summary(self) -> str:
        return f"{len(self.labels)} labels" + (f" in {title(self.scheme, self.labels)}" if self.scheme else "")

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def loss(self, logits: Float[Array, "b t k"], batch: Batch, *, training: bool, label_smoothing: float) -> LossSums:
        return class_loss(self.settings, self.counts, logits, batch, training=training, label_smoothing=label_smoothing)

    def predictions(self, logits: Float[Array, "b t k"]) -> Float[Array, "b t k"]:
        """The probability of each tag."""
        return jax.nn.softmax(self.scaled(logits))

    @property
    def monitor(self) -> str:
        return "span_f1" if self.scheme else "accuracy"

    def validation_figure(self, metric: str, predictor: "Predictor") -> "Callable[[Tree, Tree], float] | None":
        if metric == "span_f1" and self.scheme is None:
            raise UserError(f"monitor: {metric}: the tags mark no spans: choose accuracy or loss")
        return super().validation_figure(metric, predictor)

    def figure(self, metric: str, logits: Float[np.ndarray, "n k"], targets: np.ndarray) -> float:
        """F1 of the spans."""
        from pipeline.evaluation import spans

        sentences = np.load(paths.features("validation") / "sentences.npy")
        probabilities = np.exp(logits.astype(np.float64) - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
        guesses = self._decode(probabilities, sentences)
        return spans.scores(*self._tags("validation", targets, guesses, sentences))["f1"]

    def fitted(
        self, outputs: Float[np.ndarray, "n k"], targets: np.ndarray, settings: "EvaluationSettings"
    ) -> dict[str, Any]:
        from pipeline.evaluation.calibration import fitting

        sentences = np.load(paths.features("validation") / "sentences.npy")
        return fitting.of_classes(outputs, targets, settings, lambda rows: self._decode(rows, sentences))

    def evaluate(self, split: str, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        """The baseline gives each word the tag that it has most often in the training split."""
        from pipeline.evaluation import metrics, plots, summaries, words
        from pipeline.evaluation.calibration import measuring
        from pipeline.evaluation.failures import label_errors
        from pipeline.evaluation.predictor import predict
        from pipeline.loaders import buckets

        folder = paths.features(split)
        test, sentences = buckets.load(folder, self.inputs), np.load(folder / "sentences.npy")
        logits = predict(predictor, tree["params"], tree["model_state"], test)
        probabilities = metrics.softmax(logits / self.temperature)
        label_errors.write(split, self.doubts(split, logits))
        labels, targets = self._labels_of(split), np.asarray(test.targets)
        guesses = self._decode(probabilities, sentences)
        confidence = probabilities[np.arange(len(guesses)), guesses]
        baseline = np.load(folder / "baseline.npy")
        read_from = self._sources(split, sentences)
        table = words.table(split, test, read_from, labels, guesses, confidence, baseline)
        table.to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
        by_class = metrics.per_class(guesses, targets, labels)
        by_class.to_csv(paths.EVALUATION / f"per_class_{split}.csv", index=False, lineterminator="\n")
        results = metrics.tagging(probabilities, guesses, targets, sentences, baseline)
        if self.scheme:
            results["spans"] = self._spans(split, targets, guesses, sentences)
            results["span_f1"] = results["spans"]["f1"]
        most_frequent = np.where(baseline < 0, int(np.argmax(self.counts)), baseline)
        baseline_accuracy = float((targets == most_frequent).mean())
        results = {"examples": len(test), "baseline_accuracy": baseline_accuracy, **results}
        print_accuracy(split, results)
        summaries.of_words(split, results)
        plain, fitted = metrics.softmax(logits), strict_json.read(paths.FITTED)
        results |= measuring.of_classes(split, plain, probabilities, guesses, targets, fitted, sentences)
        if split == "test":
            plots.write_confusion(targets, guesses, labels, errors_only=True)
        return results

    def outcomes(self, split: str) -> "Outcomes":
        from pipeline.evaluation.failures import outcomes

        sentences = np.load(paths.features(split) / "sentences.npy")
        return outcomes.of_words(outcomes.read(split), self.labels, sentences)

    def headline(self, figures: dict[str, Any]) -> "Headline":
        from pipeline.evaluation.report import headlines

        return headlines.accuracy(figures, "giving each word its most frequent tag")

    def doubts(self, split: str, logits: np.ndarray) -> "pd.DataFrame":
        from pipeline.evaluation import metrics
        from pipeline.evaluation.failures import label_errors

        targets, sentences = (np.load(paths.features(split) / f"{name}.npy") for name in ("targets", "sentences"))
        return label_errors.of_words(self.labels, metrics.softmax(logits), targets, sentences)

    def _decode(
        self, probabilities: Float[np.ndarray, "n k"], sentences: Int[np.ndarray, " m"]
    ) -> Int[np.ndarray, " n"]:
        """The most probable tags that keep to the scheme, sentence by sentence."""
        grammar = Grammar.of(self.labels, self.scheme)
        return np.concatenate([grammar.decode(rows) for rows in np.split(probabilities, sentences[1:-1])])

    def _spans(
        self,
        split: str,
        targets: Int[np.ndarray, " n"],
        guesses: Int[np.ndarray, " n"],
        sentences: Int[np.ndarray, " m"],
    ) -> dict[str, float]:
        """Precision, recall and F1 of spans; those of each type are printed, and written to a table."""
        from pipeline.evaluation import spans

        actual, predicted = self._tags(split, targets, guesses, sentences)
        types = spans.by_type(actual, predicted)
        types.to_csv(paths.EVALUATION / f"per_type_{split}.csv", index=False, lineterminator="\n")
        print(types.to_string(index=False, max_colwidth=60, float_format="{:.3f}".format))
        return spans.scores(actual, predicted)

    def _tags(self, split: str, *numbers_and_sentences: np.ndarray) -> tuple[list[list[str]], ...]:
        """The names of the tags with these numbers, sentence by sentence."""
        *numbers, sentences = numbers_and_sentences
        names = np.array(self._labels_of(split))
        return tuple([names[tags].tolist() for tags in np.split(array, sentences[1:-1])] for array in numbers)

    def _labels_of(self, split: str) -> tuple[str, ...]:
        """The labels by their numbers in a split's targets: the model's, then those that the training split lacks."""
        unseen = np.load(paths.features(split) / "unseen_tags.npy", allow_pickle=False)
        return (*self.labels, *unseen.tolist())

    def _sources(self, split: str, sentences: Int[np.ndarray, " m"]) -> np.ndarray:
        """Where each sentence was read from, as preprocess cut them."""
        from pipeline.evaluation import sources

        longest = self.inputs.settings.max_length  # type: ignore[union-attr]
        return np.repeat(sources.of(split), -(-np.diff(sentences) // longest))

    @classmethod
    def compared(cls, read: "Read", split: str) -> "Predictions":
        from pipeline.evaluation.comparison import predictions

        return predictions.of_words(read(f"{split}.parquet"))

    def package_files(self, folder: Path) -> None:
        strict_json.write(folder / "labels.json", {"labels": self.labels, "scheme": self.scheme, **self.sure_answers()})

    def card(self, figures: dict[str, Any], **names: Any) -> str:
        from pipeline.packaging import model_card

        rows = model_card.accuracy(figures) | model_card.calibration(figures)
        for group in ("unseen", "spans"):
            rows |= {f"{group}: {key}": f"{value:.4g}" for key, value in figures.get(group, {}).items()}
        return class_card(self, self.labels, figures, rows, **names)

    def answers(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import pandas as pd

        rows = pd.read_parquet(paths.EVALUATION / "test.parquet", columns=["prediction", "probability"])
        answers, start = [], 0
        for sample in samples:
            words = rows[start : start + len(sample["words"])]
            probabilities = [round(float(p), 6) for p in words["probability"]]
            least = self.least_sure
            sure = {} if least is None else {"sure": [bool(p >= least) for p in words["probability"]]}
            answers.append({"labels": words["prediction"].tolist(), "probabilities": probabilities, **sure})
            start += len(words)
        return answers
