"""A comparison in words and tables, for a terminal or for a pull request; and as JSON."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipeline.evaluation.comparison.pairing import Comparison, mean
from pipeline.evaluation.comparison.statistics import LEVEL, Difference

PARTS = 10  # classes or documents in the table: those that changed most
LONGEST = 60  # characters of a cell
DIGITS = set("0123456789+-<")  # what a figure begins with
ADVICE = (
    "This is about two trained models; another seed may turn it round. To compare two settings, train each with "
    "several seeds: compare A1,A2,A3 B1,B2,B3"
)


def sentence(found: Comparison) -> str:
    """What the headline metric says. p is that of one test, chosen before anything was seen."""
    one, unit = found.headline, found.a[0].cluster
    if not found.a[0].graded and not len(found.fixed) and not len(found.broken) and one.difference == 0:
        same = f"Both are right and wrong about the same {found.a[0].unit}s"
        return f"{same} of {len(found.a[0].rows):,}."
    if math.isnan(one.p) or found.clusters < 2:
        return f"A single {unit} says nothing of others: no interval, no p."
    if one.p < LEVEL:
        return f"B is {'better' if one.is_better else 'worse'} ({one.metric}), unlikely to be chance: p {_p(one.p)}."
    text = f"No evidence of a difference ({one.metric}): p {_p(one.p)}."
    if found.needed is None:
        return text
    clusters, runs = found.needed
    more = [f"about {_rounded(clusters)} {unit}s"] if clusters > found.clusters else []
    seeds = len(found.a) + len(found.b) > 2 and runs > min(len(found.a), len(found.b))
    more += [f"about {runs:,} seeds a side"] if seeds else []
    if not more:
        return text
    return f"{text} If it is as large as it looks here, {' and '.join(more)} would be needed to show it."


def metrics_table(found: Comparison) -> pd.DataFrame:
    """A row a metric."""
    shown = (found.headline.p, *found.adjusted)
    return pd.DataFrame(
        [
            {
                "metric": one.metric,
                "A": f"{one.a:{form}}",
                "B": f"{one.b:{form}}",
                "difference": f"{one.difference:+{form}}",
                "95 % interval": "-" if math.isnan(one.low) else f"{one.low:+{form}} to {one.high:+{form}}",
                "p": "-" if math.isnan(p) else _p(p),
            }
            for one, p in zip(found.differences, shown)
            for form in [_form(max(abs(one.a), abs(one.b)))]
        ]
    )


def method(found: Comparison) -> str:
    """How intervals and p were come by, in a line."""
    unit, tests = found.a[0].cluster, list(dict.fromkeys(one.test for one in found.differences))
    size = f"{found.clusters:,} {unit}s"
    if unit == "passage":
        size += f" of {len(found.parts):,} documents, so about these documents alone"
    elif unit != found.a[0].unit:
        size += f" with {len(found.a[0].rows):,} {found.a[0].unit}s"
    if len(found.a) + len(found.b) > 2:
        how = f"Intervals and p: Student's t over {len(found.a)} and {len(found.b)} seeds and {size}"
    else:
        named = {"McNemar": "McNemar's exact test", "permutation": "permutation test"}
        how = f"Intervals: paired bootstrap of {size}; p: {', '.join(named.get(test, test) for test in tests)}"
    return how + ("; from the second row on, p is adjusted by Holm" if len(found.adjusted) > 1 else "")


def examples_table(found: Comparison, rows: Sequence[int]) -> pd.DataFrame:
    graded = found.a[0].graded
    one, other = (mean(side, "wrong") for side in (found.a, found.b))
    table = pd.DataFrame(
        {
            "source": [_short(found.a[0].rows["source"].iat[row]) for row in rows],
            "true": [_short(found.a[0].rows["true"].iat[row]) for row in rows],
            "A": [_short(found.answer(found.a, row)) for row in rows],
            "B": [_short(found.answer(found.b, row)) for row in rows],
        }
    )
    if graded:
        table["change"] = [f"{other[row] - one[row]:+.3f}" for row in rows]
    return table if any(table["true"]) else table.drop(columns="true")


def parts_table(found: Comparison) -> pd.DataFrame:
    """By class or document, those first that changed most."""
    first, table = found.a[0], found.parts
    change = table["b"] - table["a"]
    table = table.iloc[(-change.abs().to_numpy()).argsort(kind="stable")[:PARTS]]
    a, b = (table[side] / table["rows"] for side in ("a", "b"))
    a, b, what = (a, b, "mean") if first.graded else (1 - a, 1 - b, "right")
    rows: dict[str, Any] = {
        first.part_name: [_short(name) for name in table["name"]],
        f"{first.unit}s": [f"{count:,}" for count in table["rows"]],
        f"A {what}": [f"{x:.3f}" for x in a],
        f"B {what}": [f"{x:.3f}" for x in b],
        "difference": [f"{x:+.3f}" for x in b - a],
        _words(found)[0]: [f"{count:,}" for count in table["fixed"]],
        _words(found)[1]: [f"{count:,}" for count in table["broken"]],
    }
    if not table["p"].isna().all():
        rows["p (Holm)"] = [_p(p) for p in table["p"]]
    return pd.DataFrame(rows)


def split_text(split: str, found: Comparison, *, markdown: bool, shown: int) -> str:
    """All of it, for one test split."""
    unit, (better, worse) = f"{found.a[0].unit}s", _words(found)
    parts = [f"{'### ' if markdown else ''}{split}: {sentence(found)}"]
    parts += [f"note: {found.note}"] if found.note else []
    parts += [_table(metrics_table(found), markdown), method(found)]
    total = found.parts
    if len(total) > 1 and (len(found.fixed) or len(found.broken)):
        changed = min(len(total), PARTS)
        of = f"the {changed} of {len(total)} that changed most" if changed < len(total) else "all"
        parts += [f"By {found.a[0].part_name}, {of}:", _table(parts_table(found), markdown)]
    for word, rows in ((better, found.fixed), (worse, found.broken)):
        head = f"{len(rows):,} {unit} {word}"
        if len(rows) and shown:
            parts += [f"{head}, most of all:", _table(examples_table(found, rows[:shown].tolist()), markdown)]
        else:
            parts.append(f"{head}.")
    return "\n\n".join(parts)


def as_json(found: Comparison, shown: int) -> dict[str, Any]:
    """The same figures; those that are not defined are null."""

    def number(x: float) -> float | None:
        return None if math.isnan(x) else x

    def metric(one: Difference, adjusted: float) -> dict[str, Any]:
        figures = {"a": one.a, "b": one.b, "difference": one.difference, "low": one.low, "high": one.high, "p": one.p}
        return {
            "more_is_better": one.rises,
            **{name: number(x) for name, x in figures.items()},
            "p_adjusted": number(adjusted),
            "test": one.test,
        }

    adjusted = (found.headline.p, *found.adjusted)
    return {
        "sentence": sentence(found),
        "note": found.note or None,
        "headline": found.headline.metric,
        "metrics": {one.metric: metric(one, p) for one, p in zip(found.differences, adjusted)},
        found.a[0].unit + "s": len(found.a[0].rows),
        "drawn": {"unit": found.a[0].cluster, "count": found.clusters},
        "fixed": len(found.fixed),
        "broken": len(found.broken),
        "examples": {
            name: examples_table(found, rows[:shown].tolist()).to_dict("records")
            for name, rows in (("fixed", found.fixed), ("broken", found.broken))
        },
        f"by_{found.a[0].part_name}": [
            {name: number(x) if isinstance(x, float) else x for name, x in row.items()}
            for row in found.parts.to_dict("records")
        ],
    }


def _words(found: Comparison) -> tuple[str, str]:
    return ("better", "worse") if found.a[0].graded else ("fixed", "broken")


def _table(table: pd.DataFrame, markdown: bool) -> str:
    """Names to the left, figures to the right."""
    align = ["right" if i and table[name].str[:1].isin(DIGITS).all() else "left" for i, name in enumerate(table)]
    if markdown:
        table = table.replace(r"\|", r"\\|", regex=True)
    form = "github" if markdown else "plain"
    return table.to_markdown(index=False, disable_numparse=True, colalign=align, tablefmt=form)


def _form(size: float) -> str:
    """How figures of about this size are printed: a price in full, a share to four places."""
    if 0 < size < 0.01:
        return ".3g"
    return ",.0f" if size >= 10_000 else ",.2f" if size >= 100 else ".4f"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _rounded(count: int) -> str:
    """Two figures: no more is known."""
    return f"{float(f'{count:.2g}'):,.0f}"


def _short(text: Any) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= LONGEST else f"...{text[3 - LONGEST :]}"
