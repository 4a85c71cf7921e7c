"""Whether explanations say what the model does: measured on some examples of a split.

- Completeness: what the parts add up to, against what they should.
- Deletion and insertion (Petsiuk et al. 2018, arXiv:1806.07421): the answer as the parts that count most are taken away
  first, or come first, against a random order. Areas are means over the curve.
- Randomisation (Adebayo et al. 2018, arXiv:1810.03292): maps of a network whose parameters are shuffled must differ.

Axes: n examples, s steps of a curve, p parts.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.stats
from jaxtyping import Bool, Float

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.evaluation import plots
from pipeline.evaluation.explanations import examples
from pipeline.evaluation.explanations.explainable import Attribution, Explainable
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.runtime import strict_json

SHUFFLED = 16  # examples that the network with shuffled parameters explains
RESAMPLES = 2_000
FILE = paths.EVALUATION / "explanations.json"


class Curves(NamedTuple):
    """The answer by the share of the parts that are taken away, or that are there."""

    deletion: Float[np.ndarray, "n s"]
    insertion: Float[np.ndarray, "n s"]
    random_deletion: Float[np.ndarray, "n s"]
    random_insertion: Float[np.ndarray, "n s"]


def write(predictor: Predictor, tree: Tree, network: NetworkSettings, split: str = "test") -> None:
    """Writes evaluation/explanations.json, and the curves as a picture."""
    kind = examples.explainable(predictor, tree, network, split)
    random = np.random.default_rng(0)
    rows = np.sort(random.permutation(kind.rows)[: kind.tested]).tolist()
    outputs = kind.likeliest(rows)
    found = kind.attribute(rows, outputs)
    told = [i for i, one in enumerate(found) if len(one.weights) > 1]  # of a single part there is no order
    if not told:
        strict_json.write(FILE, {"method": kind.method, "examples": 0})
        return
    rows, outputs, found = [rows[i] for i in told], [outputs[i] for i in told], [found[i] for i in told]
    curves = _curves(kind, rows, outputs, found, random)
    few = slice(SHUFFLED)
    other = examples.explainable(predictor, _shuffled(tree), network, split).attribute(rows[few], outputs[few])
    results = {
        "method": kind.method,
        "examples": len(rows),
        **_completeness(found),
        **_areas(curves),
        "shuffled_network": _similarity(found[few], other),
    }
    strict_json.write(FILE, results)
    plots.save(plots.faithfulness(curves._asdict(), kind.method), paths.IMAGES / "explanations.png")
    deletion, insertion = results["deletion"], results["insertion"]
    print(
        f"explanations tested on {len(rows)} {split} examples: deletion {deletion['area']:.3f} (random order "
        f"{deletion['random']:.3f}), insertion {insertion['area']:.3f} ({insertion['random']:.3f})"
    )


def _completeness(found: list[Attribution]) -> dict[str, float]:
    """The mean gap as a share of the mean size of what is explained; nothing where the method does not add up."""
    gaps = [(one.gap, abs(one.total)) for one in found if one.gap is not None and one.total is not None]
    if not gaps:
        return {}
    off, size = np.mean(gaps, axis=0)
    return {"completeness_gap": float(off / max(size, 1e-12))}


def _curves(
    kind: Explainable, rows: list[int], outputs: list[int], found: list[Attribution], random: np.random.Generator
) -> Curves:
    curves = []
    for row, output, own in zip(rows, outputs, found):
        count = len(own.weights)
        order, any_order = np.argsort(-own.weights, kind="stable"), random.permutation(count)
        best, any_ = _first(order, kind.steps), _first(any_order, kind.steps)
        kept = np.concatenate([~best, best, ~any_, any_])
        curves.append(kind.answers(row, output, own, kept).reshape(4, -1))
    return Curves(*np.stack(curves, axis=1))


def _first(order: np.ndarray, steps: int) -> Bool[np.ndarray, "s p"]:
    """The first parts of an order, from none to all."""
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    return rank[None] < np.round(np.linspace(0, len(order), steps + 1))[:, None]


def _areas(curves: Curves) -> dict[str, Any]:
    """The area under each curve, that of a random order, and their difference with its interval: 95 %, by the bootstrap
    over examples.
    """
    results = {}
    for name, own, other in (
        ("deletion", curves.deletion, curves.random_deletion),
        ("insertion", curves.insertion, curves.random_insertion),
    ):
        areas, random = (np.trapezoid(curve, dx=1 / (curve.shape[1] - 1), axis=1) for curve in (own, other))
        difference = areas - random
        drawn = np.random.default_rng(0).integers(len(areas), size=(RESAMPLES, len(areas)))
        low, high = np.quantile(difference[drawn].mean(1), [0.025, 0.975])
        results[name] = {
            "area": float(areas.mean()),
            "random": float(random.mean()),
            "difference": float(difference.mean()),
            "difference_low": float(low),
            "difference_high": float(high),
        }
    return results


def _similarity(found: list[Attribution], other: list[Attribution]) -> dict[str, float]:
    """The mean rank correlation of the same examples' weights, 1 for equal maps and 0 for unrelated ones; and that of
    their sizes, without signs.
    """
    pairs = [
        (one.weights, two.weights)
        for one, two in zip(found, other)
        if len(one.weights) == len(two.weights) and np.ptp(one.weights) and np.ptp(two.weights)
    ]
    signed = [_rank_correlation(one, two) for one, two in pairs]
    sizes = [_rank_correlation(np.abs(one), np.abs(two)) for one, two in pairs]
    if not pairs:
        return {}
    return {"rank_correlation": float(np.mean(signed)), "rank_correlation_of_sizes": float(np.nanmean(sizes))}


def _rank_correlation(one: np.ndarray, two: np.ndarray) -> float:
    result: Any = scipy.stats.spearmanr(one, two)
    return float(result.statistic)


def _shuffled(tree: Tree) -> Tree:
    """Each parameter's numbers in another order: the network has learnt nothing, at its parameters' scales."""
    random = np.random.default_rng(0)

    def shuffled(array: Any) -> Any:
        flat = np.asarray(array).ravel()
        return jax.numpy.asarray(random.permutation(flat).reshape(np.shape(array)))

    return {**tree, "params": jax.tree.map(shuffled, tree["params"])}
