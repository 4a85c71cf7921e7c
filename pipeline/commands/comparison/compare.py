"""Compares two models, or two settings of several seeds each, on the test examples that both answered:

python -m pipeline compare REVISION [REVISION]

A revision is a git revision, the name of an experiment, or `workspace`, which is also the second where one is given.
Several runs of a side are separated by commas: compare A1,A2,A3 B1,B2,B3
"""

import argparse
import json
import math

from pipeline.commands.comparison import revisions, texts
from pipeline.commands.comparison.revisions import WORKSPACE, Revision
from pipeline.config import paths
from pipeline.evaluation.comparison import pairing
from pipeline.evaluation.comparison.pairing import Comparison
from pipeline.evaluation.comparison.predictions import Predictions
from pipeline.evaluation.comparison.statistics import Difference
from pipeline.runtime.errors import UserError
from pipeline.tasks import TASKS


def main() -> int:
    given = arguments()
    sides = [[revisions.find(name) for name in names.split(",") if name] for names in (given.a, given.b)]
    for names, side in zip((given.a, given.b), sides):
        if len({run.name for run in side}) < max(len(side), 1):
            raise UserError(f"{names}: a side has one or several different runs, separated by commas")
    a, b = sides
    refuse_other_tasks([*a, *b])
    if given.shown < 0:
        raise UserError("--shown: how many examples to show, from 0 on")
    compared = {split: compare(a, b, split) for split in paths.TESTS if in_all(split, a, b)}
    if not compared:
        raise UserError(f"{given.a} and {given.b} have no test split in common")
    gates = [gate(text, compared) for text in given.fail_if_worse]
    worse = [reason for reason in gates if reason]
    if given.json:
        print(json.dumps(document(sides, compared, worse, given.shown), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print(report(sides, compared, markdown=given.md, shown=given.shown))
        print(*(f"\n{'**' if given.md else ''}fails{'**' if given.md else ''}: {reason}" for reason in worse), sep="")
    return 1 if worse else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", metavar="REVISION", help="the runs to compare with")
    parser.add_argument("b", metavar="REVISION", nargs="?", default=WORKSPACE, help="the runs to judge")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="as Markdown, for a pull request")
    form.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--shown", type=int, default=3, metavar="N", help="fixed and broken examples to show (3)")
    parser.add_argument(
        "--fail-if-worse",
        action="append",
        default=[],
        metavar="METRIC[:MARGIN]",
        help="exit with 1 if all of the 95 %% interval is worse by more than the margin (0): `accuracy:0.01`",
    )
    return parser.parse_args()


def refuse_other_tasks(runs: list[Revision]) -> None:
    for run in runs[1:]:
        if run.task != runs[0].task:
            raise UserError(f"{runs[0].name} does {runs[0].task}, {run.name} {run.task}: they cannot be compared")


def in_all(split: str, *sides: list[Revision]) -> bool:
    """Whether all have the split. The main one is always looked for, so that what is missing is said."""
    return split == paths.TESTS[0] or all(run.has(f"{split}.parquet") for side in sides for run in side)


def compare(a: list[Revision], b: list[Revision], split: str) -> Comparison:
    names = [run.name for run in [*a, *b]]
    return pairing.compare([predictions(run, split) for run in a], [predictions(run, split) for run in b], names)


def predictions(run: Revision, split: str) -> Predictions:
    """What a run says of a test split. Raises UserError, with the run's name."""
    try:
        return TASKS[run.task].compared(run.read, split)
    except UserError as error:
        text = str(error)
        where = "" if text.startswith(f"{run.name}:") else f"{run.name}: {paths.EVALUATION}, {split}: "
        raise UserError(f"{where}{text}") from error


def gate(text: str, compared: dict[str, Comparison]) -> str | None:
    """Why `--fail-if-worse` fails; None where it does not: the interval must lie wholly beyond the margin, so that what
    may be chance fails nothing. Raises UserError for a metric that is not there.
    """
    name, _, margin = text.rpartition(":") if ":" in text else (text, "", "0")
    split, _, metric = name.rpartition(".") if name.partition(".")[0] in paths.TESTS else (paths.TESTS[0], "", name)
    known = {f"{s}.{key(one.metric)}": one for s, found in compared.items() for one in found.differences}
    wanted = known.get(f"{split}.{key(metric)}")
    if wanted is None:
        names = ", ".join(one.removeprefix(f"{paths.TESTS[0]}.") for one in known)
        raise UserError(f"--fail-if-worse {text}: no metric {name!r}; the metrics: {names}")
    try:
        allowed = float(margin)
    except ValueError:
        allowed = math.nan
    if not 0 <= allowed < math.inf:
        raise UserError(f"--fail-if-worse {text}: the margin is a number from 0 on, as in {name}:0.01")
    return _beyond(wanted, allowed, split)


def key(metric: str) -> str:
    """A metric's name without blanks and capitals, as --fail-if-worse has it."""
    return metric.lower().replace(" ", "_")


def _beyond(one: Difference, allowed: float, split: str) -> str | None:
    least = -one.high if one.rises else one.low  # how much worse, at least
    if not least > allowed:  # nor where there is no interval
        return None
    margin = f", more than {allowed:g}" if allowed else ""
    return f"{split} {one.metric} is worse by {least:.4g} or more (95 % interval){margin}"


def report(sides: list[list[Revision]], compared: dict[str, Comparison], *, markdown: bool, shown: int) -> str:
    mark = "- " if markdown else ""
    lines = [f"{mark}{name}  {run.name}: {run.title}" for name, side in zip("AB", sides) for run in side]
    parts = ["\n".join(lines)]
    parts += [texts.split_text(split, found, markdown=markdown, shown=shown) for split, found in compared.items()]
    if len(sides[0]) + len(sides[1]) == 2:
        parts.append(texts.ADVICE)
    return "\n\n".join(parts)


def document(
    sides: list[list[Revision]], compared: dict[str, Comparison], worse: list[str], shown: int
) -> dict[str, object]:
    facts = [
        [{"revision": run.name, "dataset": run.dataset, "model": run.model, "seed": run.seed} for run in side]
        for side in sides
    ]
    splits = {split: texts.as_json(found, shown) for split, found in compared.items()}
    return {"a": facts[0], "b": facts[1], "task": sides[0][0].task, **splits, "failed": worse}
