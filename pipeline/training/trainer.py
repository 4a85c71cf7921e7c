"""State, which is all that changes in training, and Trainer, which is all that does not.

Between steps the state is plain nested dicts of arrays; the module exists only inside jit. That is the fastest way to
dispatch, and what a checkpoint holds.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from pipeline.config.networks import NetworkSettings
from pipeline.config.training import Augmentation
from pipeline.evaluation.predictor import Predictor, Tree, variables
from pipeline.layers import embedding
from pipeline.layers.embedding import Hook, Table
from pipeline.models import build, weights
from pipeline.parallel import sharding
from pipeline.tasks import Batch, Examples, Task
from pipeline.tasks.loss import LossSums
from pipeline.training import augmentation

Rows = dict[str, list[Array]]  # of each table, what belongs to the rows that were looked up
Carry = tuple[Tree, Tree, LossSums]


class State(NamedTuple):
    step: Int[Array, ""]
    params: Tree
    model_state: Tree  # what the model keeps besides: the running averages of its normalisation
    opt_state: optax.OptState


@dataclass(frozen=True, eq=False)  # hashed by identity, so each Trainer compiles once
class Trainer:
    predictor: Predictor
    tables: frozenset[str]  # the dotted names of the parameters whose rows are looked up
    tx: optax.GradientTransformation
    seed: int
    label_smoothing: float
    class_weights: Float[np.ndarray, " k"] | None
    augmentation: Augmentation | None
    microbatches: int = 1

    @partial(jax.jit, static_argnums=(0, 5), donate_argnums=1)
    def train_block(
        self, state: State, data: Examples, rows: Int[Array, "s b"], steps: Int[Array, ""], length: int
    ) -> tuple[State, Float[Array, "s 4"]]:
        """Takes the first `steps` steps, one batch of `rows` each, in one dispatch; row i holds the LossSums of step i.

        `state` is donated: rebind it, as in `state, sums = trainer.train_block(state, ...)`. The number of steps is no
        part of the compiled shape: how an epoch is cut into blocks compiles nothing, and changes no bit of any result.
        """
        mesh, axes = self.predictor.mesh, self.predictor.partition_axes

        def step(i: Int[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
            state, all_sums = carry
            state, sums = self.train_step(state, self.predictor.batch(data, rows[i], length))
            if mesh:  # the next step expects the state where this one found it
                state = jax.lax.with_sharding_constraint(state, sharding.state_shardings(mesh, state, axes))
            return state, all_sums.at[i].set(jnp.stack(sums))

        none = jnp.zeros((len(rows), len(LossSums._fields)))
        state, all_sums = jax.lax.fori_loop(0, steps, step, (state, none))
        return state, sharding.replicate(mesh, all_sums)

    def train_step(self, state: State, batch: Batch) -> tuple[State, LossSums]:
        """One step downhill. Its randomness is a function of (seed, step), so a resumed run draws the same."""
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        key, own = jax.random.split(key)
        batch = augmentation.batch(batch, self.augmentation, self.predictor.task, own)
        take = self.gradients if self.microbatches == 1 else self.accumulated
        gradients, rows, (sums, model_state, used) = take(state.params, state.model_state, batch, key)
        names = _names(state.params)
        ids: dict[str, Int[Array, " n"]] = {}
        for name in sorted(self.tables):
            if not used[name]:
                continue
            size, width = weights.named(state.params)[name].shape
            flat = jnp.concatenate([slot.reshape(-1, width) for slot in rows[name]])  # n d
            own_ids = jnp.concatenate([numbers.reshape(-1) for numbers in used[name]]).astype(jnp.int32)
            ids[name], summed = embedding.distinct(own_ids, flat, size)
            gradients = jax.tree.map(
                lambda g, n, name=name, summed=summed: summed if n == name else g, gradients, names
            )
        params, opt_state = embedding.update_rows(self.tx, gradients, state.opt_state, state.params, ids, names)
        return State(state.step + 1, params, model_state, opt_state), sums

    def gradients(
        self, params: Tree, model_state: Tree, batch: Batch, key: Array
    ) -> tuple[Tree, Rows, tuple[LossSums, Tree, Rows]]:
        """The gradients of the mean loss: of the parameters, and of the rows that were looked up in each table; and the
        LossSums, the new model state, and which rows those were.
        """
        asked: dict[str, list[tuple[int, ...]]] = {name: [] for name in self.tables}

        def loss(params: Tree, slots: Rows) -> tuple[Float[Array, ""], tuple[LossSums, Tree, Rows]]:
            """`slots` are zeros added to the rows that are looked up: their gradient is that of the rows."""
            model = self.predictor.model(params, model_state)
            used: Rows = {name: [] for name in self.tables}

            def watch(name: str) -> Hook:
                def found(rows: Float[Array, "... d"], ids: Int[Array, "..."]) -> Float[Array, "... d"]:
                    number = len(used[name])
                    used[name].append(ids.reshape(-1))
                    asked[name].append(rows.shape)
                    return jax.lax.stop_gradient(rows) + slots[name][number] if slots else rows

                return found

            embedding.hook(model, watch)
            sums = self.predictor.loss_sums(
                model,
                batch,
                training=True,
                rngs=nnx.Rngs(dropout=key),
                label_smoothing=self.label_smoothing,
                class_weights=self.class_weights,
            )
            kept = variables(model, nnx.Not(nnx.Param))
            return sums.loss / jnp.maximum(sums.weight, 1e-9), (sums, kept, used)

        if self.tables:
            jax.eval_shape(loss, params, {})  # fills `asked`
        slots = {name: [jnp.zeros(shape) for shape in shapes] for name, shapes in asked.items()}
        (gradients, rows), rest = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, slots)
        return gradients, rows, rest

    def accumulated(
        self, params: Tree, model_state: Tree, batch: Batch, key: Array
    ) -> tuple[Tree, Rows, tuple[LossSums, Tree, Rows]]:
        """As `gradients`, a part of the batch at a time: its activations alone are in memory."""
        parts = jax.tree.map(lambda x: x.reshape(self.microbatches, -1, *x.shape[1:]), batch)

        def add(carry: Carry, part: tuple[Batch, Array]) -> tuple[Carry, tuple[Rows, Rows]]:
            total, model_state, sums = carry
            batch, key = part
            batch = sharding.shard_batch(self.predictor.mesh, batch)
            gradients, rows, (own, model_state, used) = self.gradients(params, model_state, batch, key)
            gradients, rows = jax.tree.map(lambda x: x * own.weight, (gradients, rows))
            total, sums = jax.tree.map(jnp.add, (total, sums), (gradients, own))
            return (total, model_state, sums), (rows, used)

        nothing = jax.tree.map(jnp.zeros_like, params)
        zeros = LossSums(*(jnp.zeros(()) for _ in LossSums._fields))
        keys = jax.random.split(key, self.microbatches)
        (gradients, model_state, sums), (rows, used) = jax.lax.scan(add, (nothing, model_state, zeros), (parts, keys))
        gradients, rows = jax.tree.map(lambda x: x / jnp.maximum(sums.weight, 1e-9), (gradients, rows))
        return gradients, rows, (sums, model_state, used)


def start(
    config: NetworkSettings,
    task: Task,
    tx: optax.GradientTransformation,
    *,
    seed: int,
    label_smoothing: float = 0.0,
    class_weights: Float[np.ndarray, " k"] | None = None,
    augmentation: Augmentation | None = None,
    microbatches: int = 1,
    devices: jax.sharding.Mesh | None = None,
) -> tuple[Trainer, State]:
    """A trainer, and the state before its first step; on a mesh no device ever has more of it than its share."""

    def built() -> nnx.Module:
        return build(config, task, rngs=nnx.Rngs(seed))

    def initial(model: nnx.Module) -> State:
        params, model_state = variables(model, nnx.Param), variables(model, nnx.Not(nnx.Param))
        return State(jnp.zeros((), jnp.int32), params, model_state, tx.init(params))

    model = nnx.eval_shape(built) if devices else built()
    axes = getattr(model, "partition_axes", {})
    trainer = Trainer(
        Predictor(task, nnx.graphdef(model), devices, axes),
        frozenset(weights.named(variables(model, Table))),
        tx,
        seed,
        label_smoothing,
        class_weights,
        augmentation,
        microbatches,
    )
    if devices is None:
        return trainer, initial(model)
    shardings = sharding.state_shardings(devices, jax.eval_shape(lambda: initial(built())), axes)
    return trainer, jax.jit(lambda: initial(built()), out_shardings=shardings)()


def _names(params: Tree) -> Tree:
    """A tree like `params` of the parameters' dotted names."""
    return jax.tree.unflatten(jax.tree.structure(params), list(weights.named(params)))
