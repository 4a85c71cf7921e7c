"""One or several numbers for each image or text. Axes: b batch, n examples, k targets."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from pydantic import Field

from pipeline.config import paths
from pipeline.config.preprocessing import ImagePreprocessing, TextPreprocessing
from pipeline.config.section import Section
from pipeline.examples.batch import Batch, LossSums
from pipeline.examples.inputs import Inputs
from pipeline.examples.task import TaskSettings
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.tasks.classification import note_baseline
from pipeline.tasks.labelled import Labelled

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from pipeline.config.evaluation import EvaluationSettings
    from pipeline.config.networks import NetworkSettings
    from pipeline.evaluation.comparison.predictions import Predictions, Read
    from pipeline.evaluation.failures.outcomes import Outcomes
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.evaluation.report.headlines import Headline
    from pipeline.packaging.onnx.graph import Graph, Value

Numbers = Annotated[tuple[float, ...], Field(strict=False)]


class NumberSettings(TaskSettings):
    loss: Literal["squared", "huber"] = "squared"
    """Of standardised targets: half the squared error, or `huber`, which counts outliers less."""
    units: dict[str, str] = Field(default_factory=dict)
    """The unit of each target, shown in metrics, plots and predictions: `{price: EUR}`."""


class Interval(Section):
    """The share of true values that intervals hold, and of each target how far they go around the prediction."""

    coverage: float
    half_widths: Numbers


class Regression(Labelled):
    preprocessing: ClassVar = {"image": ImagePreprocessing, "text": TextPreprocessing}
    labels_are: ClassVar = "numbers"
    Settings: ClassVar = NumberSettings
    metric: ClassVar = "r2"
    metrics: ClassVar = {"r2": True, "mae": False, "loss": False}
    headlines: ClassVar = ("mae", "rmse", "r2", "interval_coverage", "interval_width")
    output_name: ClassVar = "values"

    name: str = "regression"
    targets: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    mean: Numbers  # of each target in the training split
    std: Numbers
    interval: Interval | None = Field(default=None, exclude=True)  # by `calibrate`

    @classmethod
    def check_settings(cls, settings: TaskSettings, targets: tuple[str, ...]) -> str | None:
        assert isinstance(settings, NumberSettings)
        for name in settings.units:
            if name not in targets:
                return f"units.{name}: no such target; the targets: {', '.join(targets)}"
        return None

    @classmethod
    def check_labels(cls, source: str, labels: dict[str, Counter[str]]) -> None:
        """Numbers can be anything: `encode` looks at their spread."""

    @classmethod
    def encode(cls, inputs: Inputs, report: dict[str, Any]) -> Self:
        """Targets are standardised by the training split's mean and standard deviation. Raises UserError where a target
        never changes.
        """
        from pipeline.encoding import tables

        numbers = {split: list(tables.column(split, "label")) for split in tables.splits()}
        names = tuple(numbers["train"][0])
        arrays = {split: np.array([[row[name] for name in names] for row in rows]) for split, rows in numbers.items()}
        mean, std = arrays["train"].mean(axis=0), arrays["train"].std(axis=0)
        for name, value, spread in zip(names, mean, std):
            if not spread > 1e-12 * max(abs(value), 1.0):
                raise UserError(
                    f"the target {name} is {value:g} in every training example: there is nothing to learn; leave it "
                    "out of the reader's targets"
                )
        for split, array in arrays.items():
            tables.save(split, targets=((array - mean) / std).astype(np.float32))
            report[split]["targets"] = {
                name: {"mean": float(column.mean()), "least": float(column.min()), "most": float(column.max())}
                for name, column in zip(names, array.T)
            }
        return cls(inputs=inputs, targets=names, mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    @property
    def summary(self) -> str:
        return f"{len(self.targets)} target{'s' if len(self.targets) > 1 else ''}"

    @property
    def outputs(self) -> int:
        return len(self.targets)

    @property
    def _settings(self) -> NumberSettings:
        return self.settings if isinstance(self.settings, NumberSettings) else NumberSettings(name=self.name)

    def _titles(self) -> list[str]:
        """The targets with their units."""
        units = self._settings.units
        return [f"{name} ({units[name]})" if name in units else name for name in self.targets]

    def loss(self, logits: Float[Array, "b k"], batch: Batch, *, training: bool, label_smoothing: float) -> LossSums:
        """Label smoothing is of labels alone."""
        from pipeline.examples import loss

        return loss.regression(logits, batch, huber=self._settings.loss == "huber")

    def predictions(self, logits: Float[Array, "b k"]) -> Float[Array, "b k"]:
        """The targets in their own units."""
        mean, std = (jnp.asarray(x, jnp.float32)[None] for x in (self.mean, self.std))  # 1 k
        return logits * std + mean

    def evidence(self, logits: Float[Array, "b k"], outputs: Int[Array, " b"]) -> Float[Array, " b"]:
        """The target in its own units."""
        return jnp.take_along_axis(self.predictions(logits), outputs[:, None], axis=-1)[:, 0]

    def onnx_predictions(self, g: "Graph", logits: "Value") -> "Value":
        return g("Add", g("Mul", logits, np.asarray(self.std)), np.asarray(self.mean))

    def figure(self, metric: str, logits: Float[np.ndarray, "n k"], targets: np.ndarray) -> float:
        """The mean absolute error of the standardised targets."""
        return float(np.abs(logits - targets).mean())

    def fitted(
        self, outputs: Float[np.ndarray, "n k"], targets: np.ndarray, settings: "EvaluationSettings"
    ) -> dict[str, Any]:
        from pipeline.evaluation.calibration import fitting

        fitting.check(outputs)
        errors = (outputs.astype(np.float64) - targets.astype(np.float64)) * np.array(self.std)[None]
        return fitting.of_numbers(errors, settings)

    def calibrated(self) -> Self:
        interval = strict_json.read(paths.FITTED)["interval"]
        return self.model_copy(update={"interval": Interval.model_validate(interval) if interval else None})

    def evaluate(self, split: str, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        """The baseline always answers the mean of the training split."""
        import pandas as pd

        from pipeline.evaluation import metrics, plots, sources, summaries
        from pipeline.evaluation.calibration import measuring
        from pipeline.evaluation.failures import label_errors
        from pipeline.evaluation.predictor import predict
        from pipeline.loaders import buckets

        test = buckets.load(paths.features(split), self.inputs)
        outputs = predict(predictor, tree["params"], tree["model_state"], test).astype(np.float64)
        label_errors.write(split, self.doubts(split, outputs))
        mean, std = np.array(self.mean)[None], np.array(self.std)[None]
        values, targets = outputs * std + mean, np.asarray(test.targets, np.float64) * std + mean  # n k
        ids = np.load(paths.features(split) / "ids.npy").astype(str)
        columns = {f"true {name}": targets[:, i] for i, name in enumerate(self.targets)}
        columns |= {f"predicted {name}": values[:, i] for i, name in enumerate(self.targets)}
        table = pd.DataFrame({"id": ids, **sources.columns(split), **columns})
        table.to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
        results = {
            name: metrics.regression(values[:, i], targets[:, i], self.mean[i]) for i, name in enumerate(self.targets)
        }
        for title, figures in zip(self._titles(), results.values()):
            summaries.of_numbers(f"{split} {title}", figures)
            note_baseline(f"{split} {title}", reached=figures["r2"], low=figures["r2_low"], baseline=0.0)
        within = measuring.of_numbers(split, values - targets, self._titles(), strict_json.read(paths.FITTED))
        for figures, more in zip(results.values(), within):
            figures |= more
        if split == "test":
            table = {"actual": targets[:, 0], "predicted": values[:, 0]}
            pd.DataFrame(table).to_csv(paths.PREDICTED, index=False, lineterminator="\n")
            plots.save(plots.regression(values, targets, self._titles()), paths.IMAGES / "predicted.png")
        return {"examples": len(targets), **results}

    @classmethod
    def compared(cls, read: "Read", split: str) -> "Predictions":
        from pipeline.evaluation.comparison import predictions

        return predictions.of_numbers(read(f"{split}.parquet"))

    def outcomes(self, split: str) -> "Outcomes":
        from pipeline.evaluation.failures import outcomes

        table, unit = outcomes.read(split), self._settings.units.get(self.targets[0], "")
        values, targets = (table[[f"{what} {name}" for name in self.targets]] for what in ("predicted", "true"))
        return outcomes.of_numbers(self._titles(), unit, values.to_numpy(), targets.to_numpy(), np.array(self.std))

    def headline(self, figures: dict[str, Any]) -> "Headline":
        from pipeline.evaluation.report import headlines

        name = self.targets[0]
        return headlines.error(figures, name, self._settings.units.get(name, ""))

    def doubts(self, split: str, logits: np.ndarray) -> "pd.DataFrame":
        from pipeline.evaluation.failures import label_errors

        targets = np.load(paths.features(split) / "targets.npy").astype(np.float64)
        mean, std = np.array(self.mean)[None], np.array(self.std)[None]
        return label_errors.of_numbers(self._titles(), logits * std + mean, targets * std + mean)

    def headline_metrics(self, figures: dict[str, Any]) -> dict[str, Any]:
        return {name: super(Regression, self).headline_metrics(figures[name]) for name in self.targets}

    def package_files(self, folder: Path) -> None:
        units = {name: unit for name, unit in self._settings.units.items() if name in self.targets}
        intervals = {"interval": self.interval.model_dump()} if self.interval else {}
        strict_json.write(folder / "labels.json", {"labels": self.targets, "units": units, **intervals})

    def configuration(self) -> dict[str, Any]:
        return super().configuration() | {"targets": {"mean": self.mean, "std": self.std}}

    @classmethod
    def unpack(cls, inputs: Inputs, config: dict[str, Any], labels: dict[str, Any]) -> Self:
        names = labels["labels"]
        scale = config.get("targets", {"mean": (0.0,) * len(names), "std": (1.0,) * len(names)})
        return cls(inputs=inputs, targets=names, **scale)

    def complete(self, run: "Callable[[], tuple[np.ndarray, np.ndarray]]") -> Self:
        """By least squares: in format 4 the function alone has the targets' mean and standard deviation."""
        given, wanted = (values.astype(np.float64) for values in run())  # n k
        std = ((given - given.mean(axis=0)) * (wanted - wanted.mean(axis=0))).sum(axis=0) / given.var(axis=0)
        std /= len(given)
        mean = wanted.mean(axis=0) - std * given.mean(axis=0)
        return self.model_copy(update={"mean": tuple(mean.tolist()), "std": tuple(std.tolist())})

    def card(self, figures: dict[str, Any], **names: Any) -> str:
        from pipeline.packaging import model_card

        rows = {}
        for name, title in zip(self.targets, self._titles()):
            of = figures[name]
            rows[f"{title}: mean absolute error"] = (
                f"{of['mae']:.4g} (95 % {of['mae_low']:.4g} to {of['mae_high']:.4g})"
            )
            rows[f"{title}: that of the mean"] = f"{of['baseline_mae']:.4g}"
            rows[f"{title}: root mean squared error"] = f"{of['rmse']:.4g}"
            rows[f"{title}: R2"] = f"{of['r2']:.4f} (95 % {of['r2_low']:.4f} to {of['r2_high']:.4f})"
            if self.interval:
                share, low, high = (of[f"interval_coverage{end}"] for end in ("", "_low", "_high"))
                rows[f"{title}: true values in the interval of {self.interval.coverage:g}"] = (
                    f"{share:.4f} (95 % {low:.4f} to {high:.4f}); it is {of['interval_width']:.4g} wide"
                )
        ranges = ", ".join(
            f"{model_card.plain(title)} (mean {mean:.4g}, standard deviation {std:.4g})"
            for title, mean, std in zip(self._titles(), self.mean, self.std)
        )
        return model_card.labelled(
            self,
            what=f"Estimates {', '.join(map(model_card.plain, self._titles()))}.",
            metrics="mae, rmse, r2",
            figures=rows,
            details=f"In training: {ranges}.",
            limits="It answers with numbers like those it was trained on, whatever the input.",
            **names,
        )

    def answers(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import pandas as pd

        from pipeline.runtime.tasks.regression import Regression as Answers

        table = pd.read_parquet(paths.EVALUATION / "test.parquet")
        rows = table[[f"predicted {name}" for name in self.targets]].to_numpy()
        units = {name: unit for name, unit in self._settings.units.items() if name in self.targets}
        interval = (self.interval.coverage, self.interval.half_widths) if self.interval else None
        answers = Answers(self.targets, units, interval)
        return [answers.answer(row) for row in rows[: len(samples)]]
