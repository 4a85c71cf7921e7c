"""The page from its parts: Jinja2 with autoescape, so that no text of the data is markup."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.evaluation.dataset import drift
from pipeline.evaluation.failures import slices
from pipeline.evaluation.failures.tables import Failures
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.evaluation.report import charts, data, failing, wording
from pipeline.evaluation.report.charts import Chart
from pipeline.evaluation.report.headlines import Headline
from pipeline.runtime import strict_json

REPORT = paths.EVALUATION / "report.html"
TEMPLATES = Path(__file__).parent / "templates"


class Run(NamedTuple):
    """What the page is of. `figures` and `failures` are by split."""

    dataset: str
    model: str
    predictor: Predictor
    tree: Tree
    network: NetworkSettings
    figures: dict[str, dict[str, Any]]
    failures: dict[str, Failures]
    provenance: dict[str, Any]


def write(run: Run) -> None:
    """Writes evaluation/report.html. Everything else that evaluate writes is there already."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": wording.percent, "number": wording.number, "sentence": wording.sentence}
    environment.globals["interval"] = wording.INTERVAL
    environment.globals["span"] = lambda one: wording.span(one.low, one.high, is_share=one.is_share, unit=one.unit)
    text = environment.get_template("report.html").render(contents(run))
    REPORT.write_text(text, encoding="utf-8", newline="\n")


def contents(run: Run) -> dict[str, Any]:
    """What the templates show."""
    task = run.predictor.task
    trained: Any = strict_json.read(paths.TRAINED / "provenance.json")
    training: Any = strict_json.read(paths.TRAIN_METRICS)
    report, features = data.prepared_report(), strict_json.read(paths.FEATURES / "report.json")
    seed = int(trained["params"]["seed"])
    headlines = {
        split: _headline(task.headline(figures), run.failures[split]) for split, figures in run.figures.items()
    }
    failures = run.failures["test"]
    found = {split: drift.between("train", split, seed) for split in run.figures}
    balance, more_labels = data.balance(report) if task.class_word else ([], 0)
    legend, mistakes = failing.mistakes(run.predictor, run.tree, run.network, failures.outcomes)
    doubted, doubts = failing.doubts()
    classes = failing.classes(failures)
    count = next(size for name, size in data.splits(report) if name == "test")
    parts = {
        "title": f"{run.model} on {run.dataset}",
        "things": wording.things(task.inputs.kind, count),
        "training": training,
        "headlines": headlines,
        "figures": {split: flat(figures) for split, figures in run.figures.items()},
        "curves": curves(task.metric),
        "reliability": reliability(),
        "calibration": calibration(),
        "predicted": predicted(),
        "measure": failures.outcomes.measure,
        "mistaken": failures.outcomes.mistaken,
        "answers": len(failures.outcomes.example),
        "classes": classes,
        "matrix": failing.matrix(failures.outcomes),
        "parted": failures.outcomes.label == "label",  # labels do not exclude each other
        "pairs": failing.pairs(failures.outcomes),
        "slices": failing.slices(failures),
        "few": slices.FEW,
        "mistakes": mistakes,
        "how_explained": legend,
        "doubted": doubted,
        "doubts": doubts,
        "splits": data.splits(report),
        "balance": balance,
        "more_labels": more_labels,
        "left_out": data.left_out(report),
        "lengths": data.lengths(failures.traits, seed),
        "targets": data.targets(features),  # type: ignore[arg-type]
        "encoded": data.encoded(features),  # type: ignore[arg-type]
        "sheet": data.sheet(seed, labelled=task.labels_are is not None),
        "seed": seed,
        "drifts": [(split, one, data.drift_sentence(one, split)) for split, one in found.items()],
        "params": params(run, trained, report),
        "versions": sorted((trained["versions"] | run.provenance["versions"]).items()),
        "device": {"train": trained.get("device", {}), "evaluate": run.provenance["device"]},
        "inputs": sorted(run.provenance["inputs"].items()),
        "code": len(run.provenance["code"]),
    }
    return parts | {"summary": summary(parts, task.inputs.kind)}


def _headline(headline: Headline, failures: Failures) -> Headline:
    """With the interval over groups, where the task's figures have none."""
    if headline.low is not None:
        return headline
    of = failures.outcomes
    rate = slices.rate(of.gained, of.possible, of.group, is_share=headline.is_share)
    return headline._replace(low=rate.low, high=rate.high)


def summary(parts: dict[str, Any], kind: str) -> list[str]:
    """The page in a few sentences, for those who read no further."""
    headline: Headline = parts["headlines"]["test"]
    span = wording.span(headline.low, headline.high, is_share=headline.is_share, unit=headline.unit)
    sentences = [
        f"On {parts['things'].replace(' ', ' test ', 1)} {headline.says.format(figure=headline.text(headline.value))} "
        f"({wording.INTERVAL} {span}); {headline.baseline_name} "
        f"{headline.baseline_says.format(figure=headline.text(headline.baseline))}."
    ]
    if headline.beats_baseline is False:
        sentences.append("That is not clearly better: train longer, or look at the data.")
    for split, other in list(parts["headlines"].items())[1:]:
        span = wording.span(other.low, other.high, is_share=other.is_share, unit=other.unit)
        sentences.append(f"On the {split} split it is {other.text(other.value)} ({wording.INTERVAL} {span}).")
    sure = [row for row in parts["classes"] if not row["few"]]
    if sure and sure[0]["f1"] < sure[-1]["f1"]:
        worst, pair = sure[0], parts["pairs"][:1]
        taken = ""
        if pair and parts["matrix"]:
            taken = f"; it most often takes {pair[0]['truth']} for {pair[0]['answer']} ({pair[0]['count']:,} times)"
        sentences.append(f"It is weakest on {worst['label']} (F1 {wording.percent(worst['f1'])}){taken}.")
    elif parts["slices"] and not parts["slices"][0].few:
        worst_slice = parts["slices"][0]
        sentences.append(f"It is weakest where {worst_slice.by} is {worst_slice.value} ({worst_slice.figure}).")
    if parts["calibration"] is not None:
        sentences.append(parts["calibration"])
    if parts["doubted"]:
        labels = "One test label looks" if parts["doubted"] == 1 else f"{parts['doubted']:,} test labels look"
        sentences.append(f"{labels} doubtful.")
    return [*sentences, *(sentence for _, _, sentence in parts["drifts"])]


def curves(metric: str) -> list[Chart]:
    """Loss and metric by epoch."""
    history = pd.read_csv(paths.HISTORY)
    return [
        charts.lines(
            f"The {title} of training and validation after each epoch",
            history["epoch"].tolist(),
            {split: history[f"{split}_{name}"].tolist() for split in ("train", "validation")},
            x_label="epoch",
            y_label=title,
        )
        for name, title in (("loss", "loss"), ("metric", wording.METRICS.get(metric, metric.replace("_", " "))))
    ]


def _bins() -> pd.DataFrame | None:
    if not paths.CALIBRATION.exists():
        return None
    table = pd.read_csv(paths.CALIBRATION)
    return table if len(table) and {"confidence", "accuracy", "examples"} <= set(table) else None


def reliability() -> Chart | None:
    bins = _bins()
    if bins is None:
        return None
    columns = (bins[name].tolist() for name in ("confidence", "accuracy", "examples"))
    return charts.reliability("How often answers are right, by how sure the model is", *columns)


def calibration() -> str | None:
    """Whether the model's probabilities, or the intervals of its numbers, can be believed, in a sentence."""
    bins = _bins()
    if bins is None:
        return None
    accuracy, confidence, weights = (bins[name].to_numpy(float) for name in ("accuracy", "confidence", "examples"))
    what = "probabilities" if predicted() is None else "intervals"
    gap = float(np.average(np.abs(accuracy - confidence), weights=weights))
    mean = float(np.average(accuracy - confidence, weights=weights))
    if gap < 0.02:
        return f"Its {what} can be taken at their word: they are off by {wording.percent(gap)} on average."
    how = "too sure of itself" if mean < 0 else "less sure than it could be"
    return f"It is {how}: its {what} are off by {wording.percent(gap)} on average."


def predicted() -> Chart | None:
    """Predicted by true numbers, where the task is to estimate some."""
    table = pd.read_csv(paths.PREDICTED) if paths.PREDICTED.exists() else pd.DataFrame()
    if not len(table):
        return None
    title = "Predicted numbers by true ones: on the line, both agree"
    x, y = (table[name].to_numpy(float) for name in ("actual", "predicted"))
    return charts.scatter(title, x, y, x_label="true", y_label="predicted")


def flat(tree: Any, above: str = "") -> list[tuple[str, str]]:
    """The leaves of nested figures or settings, by names with points."""
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in flat(value, f"{above}.{key}" if above else str(key))]
    if isinstance(tree, bool) or tree is None:
        return [(above, {True: "yes", False: "no"}.get(tree, "none"))]  # type: ignore[arg-type]
    if isinstance(tree, int | float):
        return [(above, f"{tree:,}" if isinstance(tree, int) else f"{tree:.6g}")]
    return [(above, ", ".join(map(str, tree)) if isinstance(tree, list | tuple) else str(tree))]


def params(run: Run, trained: dict[str, Any], report: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The settings of the run, section by section."""
    preprocessing = run.predictor.task.inputs.settings.model_dump()
    sections = {
        "data": report["data"],
        "preprocessing": preprocessing,
        "task": trained["params"]["task"],
        "network": trained["params"]["network"],
        "training": trained["params"]["training"],
    }
    chosen = [("dataset", run.dataset), ("model", run.model), ("seed", str(trained["params"]["seed"]))]
    return [("chosen", chosen), *((name, flat(section)) for name, section in sections.items())]
