"""A training run between two steps: everything that changes in it, and its form as a checkpoint."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from pipeline.evaluation.predictor import Tree
from pipeline.examples.batch import LossSums
from pipeline.models.weights import named
from pipeline.parallel import sharding
from pipeline.runtime.errors import UserError
from pipeline.training.checkpoints.files import Checkpoint
from pipeline.training.trainer import State


class Epoch(NamedTuple):
    """One row of the curves; epochs count from 1."""

    epoch: int
    train_loss: float  # average over the epoch's batches, as training saw them
    train_metric: float  # accuracy, or what else the task has
    validation_loss: float
    validation_metric: float
    monitored: float  # of the validation split: the best epoch has the best of these


class Best(NamedTuple):
    epoch: Epoch
    params: Tree
    model_state: Tree


class TrainingRun(NamedTuple):
    state: State
    epoch: int = 1  # the current one
    steps_done: int = 0  # in the current epoch
    sums: Float[np.ndarray, " 4"] = np.zeros(len(LossSums._fields))  # LossSums over those steps
    history: tuple[Epoch, ...] = ()
    best: Best | None = None  # of the epochs so far

    @property
    def kept(self) -> Best:
        """The model that a finished run keeps."""
        assert self.best
        return self.best


def to_checkpoint(run: TrainingRun) -> Checkpoint:
    """The run's arrays by their dotted names, and the rest of it as JSON."""
    facts = {
        "epoch": run.epoch,
        "step": int(run.state.step),
        "steps_done": run.steps_done,
        "sums": run.sums.tolist(),  # Python writes and reads back floats to the last bit
        "history": [list(epoch) for epoch in run.history],
        "best": run.best and list(run.best.epoch),
    }
    return Checkpoint(named(_tree(run.state, run.best)), facts)


def from_checkpoint(checkpoint: Checkpoint, state: State) -> TrainingRun:
    """The run that `to_checkpoint` was given. `state` is the same network's initial state: it gives the structure and
    the placement on devices. Raises UserError where the checkpoint is of another network.
    """
    facts = checkpoint.facts
    try:
        best = Best(Epoch(*facts["best"]), state.params, state.model_state) if facts["best"] else None
        like = _tree(state, best)
        expected = {name: (array.shape, array.dtype) for name, array in named(like).items()}
        if {name: (array.shape, array.dtype) for name, array in checkpoint.arrays.items()} != expected:
            raise ValueError("its arrays are of another network")
        arrays = [sharding.put_like(checkpoint.arrays[name], array) for name, array in named(like).items()]
        tree = jax.tree.unflatten(jax.tree.structure(like), arrays)
        return TrainingRun(
            tree["state"],
            int(facts["epoch"]),
            int(facts["steps_done"]),
            np.array(facts["sums"], np.float64).reshape(len(LossSums._fields)),
            tuple(Epoch(*row) for row in facts["history"]),
            best and Best(best.epoch, **tree["best"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"the checkpoint is not one of this run ({error}): remove it with `python -m pipeline checkpoints clean`"
        ) from error


def _tree(state: State, best: Best | None) -> Tree:
    return {"state": state, **({"best": {"params": best.params, "model_state": best.model_state}} if best else {})}
