"""Where a training run stands between two steps: all that changes, and what a checkpoint holds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pipeline.evaluation.predictor import Tree
from pipeline.models.weights import named
from pipeline.parallel import sharding
from pipeline.runtime.errors import UserError
from pipeline.tasks.loss import LossSums
from pipeline.training.checkpoints.store import Checkpoint
from pipeline.training.trainer import State


class Epoch(NamedTuple):
    """One row of the curves; epochs count from 1."""

    epoch: int
    train_loss: float  # average over the epoch's batches, as training saw them
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


class Best(NamedTuple):
    epoch: Epoch
    params: Tree
    model_state: Tree


class TrainingState(NamedTuple):
    state: State
    epoch: int = 1  # the one under way
    taken: int = 0  # of its steps
    sums: Float[np.ndarray, " 4"] = np.zeros(len(LossSums._fields))  # of those steps
    history: tuple[Epoch, ...] = ()
    best: Best | None = None  # with early stopping, the best epoch so far

    @property
    def kept(self) -> Best:
        """What training came to: the best epoch, or else the last one."""
        return self.best or Best(self.history[-1], self.state.params, self.state.model_state)


def to_checkpoint(run: TrainingState) -> Checkpoint:
    """The run's arrays by their dotted names, and the rest of it."""
    facts = {
        "epoch": run.epoch,
        "step": int(run.state.step),
        "taken": run.taken,
        "sums": run.sums.tolist(),  # Python writes and reads back floats to the last bit
        "history": [list(epoch) for epoch in run.history],
        "best": run.best and list(run.best.epoch),
    }
    return Checkpoint(named(_tree(run.state, run.best)), facts)


def from_checkpoint(found: Checkpoint, state: State) -> TrainingState:
    """The run that `packed` took apart; `state`, of the same run, says what belongs where. Raises UserError."""
    facts = found.facts
    try:
        best = Best(Epoch(*facts["best"]), state.params, state.model_state) if facts["best"] else None
        like = _tree(state, best)
        wanted = {name: (array.shape, array.dtype) for name, array in named(like).items()}
        if {name: (array.shape, array.dtype) for name, array in found.arrays.items()} != wanted:
            raise ValueError("its arrays are of another network")
        arrays = [_as(found.arrays[name], beside) for name, beside in named(like).items()]
        tree = jax.tree.unflatten(jax.tree.structure(like), arrays)
        return TrainingState(
            tree["state"],
            int(facts["epoch"]),
            int(facts["taken"]),
            np.array(facts["sums"], np.float64).reshape(len(LossSums._fields)),
            tuple(Epoch(*row) for row in facts["history"]),
            best and Best(best.epoch, **tree["best"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"the checkpoint is not one of this run ({error}): remove it, `python -m pipeline checkpoints clean`"
        ) from error


def _as(array: Any, beside: Any) -> Any:
    """The array where the other lies: on the device, or on several."""
    placed = beside.sharding
    return sharding.put(array, placed) if len(placed.device_set) > 1 else jnp.asarray(array)


def _tree(state: State, best: Best | None) -> Tree:
    return {"state": state, **({"best": {"params": best.params, "model_state": best.model_state}} if best else {})}
