"""State, which is all that changes in training, and Trainer, which is all that does not.

Between steps the state is plain nested dicts of arrays; the module exists only inside jit. That is the fastest way to
dispatch, and what a checkpoint holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from pipeline.config.networks import NetworkSettings
from pipeline.config.training import Augmentation
from pipeline.evaluation.predictor import Predictor, Tree, evaluation_batches, loaded, variables
from pipeline.examples.batch import Batch, Examples, LossSums
from pipeline.examples.task import Task
from pipeline.layers import embedding, parameters
from pipeline.layers.embedding import Rows
from pipeline.layers.parameters import Roles
from pipeline.loaders.device_examples import DeviceExamples
from pipeline.models import FitsStatistics, build, weights
from pipeline.parallel import sharding
from pipeline.training import row_updates

Ids = dict[str, list[Int[Array, "..."]]]  # by the table's dotted name, for each lookup
Carry = tuple[Tree, Tree, LossSums]
MakeOptimizer = Callable[[Roles], optax.GradientTransformation]


class State(NamedTuple):
    step: Int[Array, ""]
    params: Tree
    model_state: Tree  # what the model keeps besides: the running averages of its normalisation
    opt_state: optax.OptState


class Gradients(NamedTuple):
    params: Tree  # zeros for tables that were looked up: their gradients are those of the rows
    rows: Rows
    ids: Ids  # of the rows


@dataclass(frozen=True, eq=False)  # hashed by identity, so each Trainer compiles once
class Trainer:
    predictor: Predictor
    tx: optax.GradientTransformation
    seed: int
    label_smoothing: float
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
        mesh = self.predictor.mesh

        def step(i: Int[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
            state, all_sums = carry
            state, sums = self.train_step(state, self.predictor.batch(data, rows[i], length))
            if mesh:  # the next step expects the state where this one found it
                shardings = state_shardings(mesh, state, self.tx, self.predictor.tensor_axes)
                state = jax.lax.with_sharding_constraint(state, shardings)
            return state, all_sums.at[i].set(jnp.stack(sums))

        none = jnp.zeros((len(rows), len(LossSums._fields)))
        state, all_sums = jax.lax.fori_loop(0, steps, step, (state, none))
        return state, sharding.replicate(mesh, all_sums)

    def train_step(self, state: State, batch: Batch) -> tuple[State, LossSums]:
        """One optimizer step. Its randomness is a function of (seed, step), so a resumed run draws the same."""
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        key, augmentation_key = jax.random.split(key)
        inputs = self.predictor.task.inputs.augment(batch.inputs, self.augmentation, augmentation_key)
        batch = batch._replace(inputs=inputs)
        differentiate = self.gradients if self.microbatches == 1 else self.accumulated_gradients
        gradients, sums, model_state = differentiate(state.params, state.model_state, batch, key)
        of_params, ids = with_distinct_rows(gradients)
        params, opt_state = row_updates.update(self.tx, of_params, state.opt_state, state.params, ids)
        return State(state.step + 1, params, model_state, opt_state), sums

    def gradients(
        self, params: Tree, model_state: Tree, batch: Batch, key: Key[Array, ""]
    ) -> tuple[Gradients, LossSums, Tree]:
        """The gradients of the mean loss, the sums that the loss is the mean of, and the new model state."""

        def loss_sums(model: nnx.Module) -> LossSums:
            return self.predictor.task.loss_sums(
                model,
                batch,
                mesh=self.predictor.mesh,
                training=True,
                rngs=nnx.Rngs(dropout=key),
                label_smoothing=self.label_smoothing,
            )

        # Which rows does this batch look up? All else that this forward pass computes is unused, and never run.
        model = self.predictor.model(params, model_state)
        lookups = embedding.record_lookups(model)
        if lookups:
            loss_sums(model)

        def loss(params: Tree, rows: Rows) -> tuple[Float[Array, ""], tuple[LossSums, Tree]]:
            model = self.predictor.model(params, model_state)
            embedding.replace_rows(model, rows)
            sums = loss_sums(model)
            return sums.loss / jnp.maximum(sums.weight, 1e-9), (sums, variables(model, nnx.Not(nnx.Param)))

        rows = {name: [lookup.rows for lookup in of_table] for name, of_table in lookups.items()}
        ids = {name: [lookup.ids for lookup in of_table] for name, of_table in lookups.items()}
        (of_params, of_rows), (sums, model_state) = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, rows)
        return Gradients(of_params, of_rows, ids), sums, model_state

    def accumulated_gradients(
        self, params: Tree, model_state: Tree, batch: Batch, key: Key[Array, ""]
    ) -> tuple[Gradients, LossSums, Tree]:
        """As `gradients`, one microbatch at a time: only its activations are in memory."""
        microbatches = jax.tree.map(lambda x: x.reshape(self.microbatches, -1, *x.shape[1:]), batch)

        def add(carry: Carry, microbatch: tuple[Batch, Array]) -> tuple[Carry, tuple[Rows, Ids]]:
            total, model_state, total_sums = carry
            batch, key = microbatch
            batch = sharding.shard_batch(self.predictor.mesh, batch)
            gradients, sums, model_state = self.gradients(params, model_state, batch, key)
            of_params, of_rows = jax.tree.map(lambda x: x * sums.weight, (gradients.params, gradients.rows))
            total, total_sums = jax.tree.map(jnp.add, (total, total_sums), (of_params, sums))
            return (total, model_state, total_sums), (of_rows, gradients.ids)

        zeros = jax.tree.map(jnp.zeros_like, params), model_state, LossSums(*(jnp.zeros(()) for _ in LossSums._fields))
        keys = jax.random.split(key, self.microbatches)
        (total, model_state, sums), (of_rows, ids) = jax.lax.scan(add, zeros, (microbatches, keys))
        of_params, of_rows = jax.tree.map(lambda x: x / jnp.maximum(sums.weight, 1e-9), (total, of_rows))
        return Gradients(of_params, of_rows, ids), sums, model_state


def with_distinct_rows(gradients: Gradients) -> tuple[Tree, row_updates.Ids]:
    """The gradients as `row_updates.update` wants them: each table's are those of the rows that it returns, each row
    once.
    """
    of_params = weights.named(gradients.params)
    distinct_ids: row_updates.Ids = {}
    for name, ids in gradients.ids.items():
        if ids:  # else the batch's network never looked it up
            table = of_params[name]
            flat_ids = jnp.concatenate([array.reshape(-1) for array in ids]).astype(jnp.int32)  # n
            flat_rows = jnp.concatenate([array.reshape(-1, table.shape[1]) for array in gradients.rows[name]])  # n d
            distinct_ids[name], of_params[name] = row_updates.distinct(flat_ids, flat_rows, len(table))
    return jax.tree.unflatten(jax.tree.structure(gradients.params), list(of_params.values())), distinct_ids


def start(
    config: NetworkSettings,
    task: Task,
    make_optimizer: MakeOptimizer,
    *,
    seed: int,
    label_smoothing: float = 0.0,
    augmentation: Augmentation | None = None,
    microbatches: int = 1,
    devices: jax.sharding.Mesh | None = None,
) -> tuple[Trainer, State]:
    """A trainer, and the state before its first step; on a mesh no device ever has more of it than its share.
    `make_optimizer` gets the roles of the network's parameters.
    """

    def built() -> nnx.Module:
        return build(config, task.inputs, task.outputs, rngs=nnx.Rngs(seed))

    def initial(model: nnx.Module) -> State:
        params, model_state = variables(model, nnx.Param), variables(model, nnx.Not(nnx.Param))
        return State(jnp.zeros((), jnp.int32), params, model_state, tx.init(params))

    model = nnx.eval_shape(built) if devices else built()
    roles = parameters.roles(model)
    axes = {name: role.tensor_axis for name, role in roles.items() if role.tensor_axis is not None}
    tx = make_optimizer(roles)
    trainer = Trainer(
        Predictor(task, nnx.graphdef(model), devices, axes),
        tx,
        seed,
        label_smoothing,
        augmentation,
        microbatches,
    )
    if devices is None:
        return trainer, initial(model)
    shardings = state_shardings(devices, jax.eval_shape(lambda: initial(built())), tx, axes)
    return trainer, jax.jit(lambda: initial(built()), out_shardings=shardings)()


def fit_statistics(predictor: Predictor, state: State, load: Callable[[], Examples]) -> State:
    """The state before the first step, with what the network measures of the examples of the training split, if
    anything.
    """
    model = nnx.merge(predictor.graphdef, state.params, state.model_state)
    if not isinstance(model, FitsStatistics):
        return state
    examples, batch = load(), jax.jit(predictor.task.inputs.batch, static_argnums=2)
    batches = evaluation_batches(examples)
    there = loaded(DeviceExamples(examples), batches)
    model.fit_statistics(batch(data, rows, length) for (data, rows), (_, length) in zip(there, batches))
    measured = variables(cast(nnx.Module, model), nnx.Not(nnx.Param))
    return state._replace(model_state=jax.tree.map(sharding.put_like, measured, state.model_state))


def state_shardings(
    mesh: jax.sharding.Mesh, state: State, tx: optax.GradientTransformation, tensor_axes: Mapping[str, int]
) -> State:
    """Where each array of the state lies. Those of the optimizer lie as the parameters that they belong to."""
    names = State(
        step="",  # type: ignore[arg-type]
        params=row_updates.names_of(state.params),
        model_state=jax.tree.map(lambda _: "", state.model_state),
        opt_state=row_updates.names_in_state(tx, state.opt_state, state.params),
    )
    return sharding.state_shardings(mesh, state, names, tensor_axes)
