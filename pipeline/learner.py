"""State, which is all that changes in training, and Learner, which is all that does not.

Between steps the state is plain nested dicts of arrays; the module exists only inside jit. That is the fastest way to
dispatch, and what a checkpoint holds.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Shaped

from pipeline import weights
from pipeline.augment import Augmentation, augment
from pipeline.models import Config
from pipeline.tasks import Batch, Sums, Task, score

Tree = dict[str, Any]
EVALUATION_BATCH = 250


class State(NamedTuple):
    step: Int[Array, ""]
    params: Tree
    rest: Tree  # what the model keeps besides: the running averages of its normalisation
    opt: optax.OptState


class Resident(NamedTuple):
    """A whole split on the device."""

    inputs: Shaped[Array, "n ..."]
    targets: Int[Array, " n"]


@dataclass(frozen=True, eq=False)  # hashed by identity, so each Learner compiles once
class Learner:
    graphdef: nnx.GraphDef[Any]
    tx: optax.GradientTransformation
    seed: int
    label_smoothing: float
    augmentation: Augmentation | None

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def train_block(
        self, state: State, data: Resident, rows: Int[Array, "s b"], steps: Int[Array, ""]
    ) -> tuple[State, Sums]:
        """Takes the first `steps` steps, one batch of `rows` each, in one dispatch; adds up their sums.

        `state` is donated: rebind it, as in `state, sums = learner.train_block(state, ...)`. The number of steps is no
        part of the compiled shape, so the last block of an epoch, padded, compiles nothing.
        """

        def step(i: Int[Array, ""], carry: tuple[State, Sums]) -> tuple[State, Sums]:
            state, total = carry
            chosen = rows[i]  # b
            batch = Batch(data.inputs[chosen], data.targets[chosen], jnp.ones(chosen.shape, bool))
            state, sums = self.train_step(state, batch)
            return state, jax.tree.map(jnp.add, total, sums)

        zero = Sums(*(jnp.zeros((), jnp.float32) for _ in Sums._fields))
        return jax.lax.fori_loop(0, steps, step, (state, zero))

    def train_step(self, state: State, batch: Batch) -> tuple[State, Sums]:
        """One step downhill. Its randomness is a function of (seed, step), so a resumed run draws the same."""
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        if self.augmentation:
            key, own = jax.random.split(key)
            batch = batch._replace(inputs=augment(batch.inputs, self.augmentation, own))

        def loss(params: Tree) -> tuple[Float[Array, ""], tuple[Sums, Tree]]:
            model = self.model(params, state.rest)
            logits = model(batch.inputs, training=True, rngs=nnx.Rngs(dropout=key))  # b k
            sums = score(logits, batch, label_smoothing=self.label_smoothing)
            return sums.loss / sums.weight, (sums, pure(model, nnx.Not(nnx.Param)))

        gradients, (sums, rest) = jax.grad(loss, has_aux=True)(state.params)
        updates, opt = self.tx.update(gradients, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(state.step + 1, params, rest, opt), sums  # type: ignore[arg-type]

    @partial(jax.jit, static_argnums=0)
    def logits(self, params: Tree, rest: Tree, inputs: Shaped[Array | np.ndarray, "b ..."]) -> Float[Array, "b k"]:
        """What the model says of `inputs`, as in use: no dropout, running averages."""
        return self.model(params, rest)(inputs)

    def model(self, params: Tree, rest: Tree) -> nnx.Module:
        return nnx.merge(self.graphdef, params, rest)


def start(
    config: Config,
    task: Task,
    tx: optax.GradientTransformation,
    *,
    seed: int,
    label_smoothing: float = 0.0,
    augmentation: Augmentation | None = None,
) -> tuple[Learner, State]:
    """A learner, and the state before its first step."""
    model = config.build(task, rngs=nnx.Rngs(seed))
    graphdef = nnx.graphdef(model)
    params, rest = pure(model, nnx.Param), pure(model, nnx.Not(nnx.Param))
    learner = Learner(graphdef, tx, seed, label_smoothing, augmentation)
    return learner, State(jnp.zeros((), jnp.int32), params, rest, tx.init(params))


def restore(config: Config, task: Task, path: Path) -> tuple[Learner, Tree]:
    """A learner that only predicts, and the {"params": ..., "rest": ...} that training left at `path`."""
    learner, state = start(config, task, optax.identity(), seed=0)
    return learner, weights.read(path, {"params": state.params, "rest": state.rest})


def pure(model: nnx.Module, kind: Any) -> Tree:
    """The model's variables of one kind, as nested dicts of arrays."""
    return nnx.to_pure_dict(nnx.state(model, kind))


def predict(
    learner: Learner, params: Tree, rest: Tree, inputs: Shaped[np.ndarray, "n ..."]
) -> Float[np.ndarray, "n k"]:
    """The logits of every row, in batches of one size: the last is padded, so that nothing compiles twice."""
    logits = []
    for start in range(0, len(inputs), EVALUATION_BATCH):
        some = np.asarray(inputs[start : start + EVALUATION_BATCH])
        padding = [(0, EVALUATION_BATCH - len(some))] + [(0, 0)] * (some.ndim - 1)
        logits.append(np.asarray(learner.logits(params, rest, np.pad(some, padding)))[: len(some)])
    return np.concatenate(logits)
