"""State, which is all that changes in training, and Learner, which is all that does not.

Between steps the state is plain nested dicts of arrays; the module exists only inside jit. That is the fastest way to
dispatch, and what a checkpoint holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Integer

from pipeline import tasks
from pipeline.config import params, paths
from pipeline.layers import cross_entropy, embedding
from pipeline.layers.cross_entropy import Scores
from pipeline.layers.embedding import Hook, Table
from pipeline.loaders import buckets
from pipeline.models import CONFIGS, Config, weights
from pipeline.parallel import sharding
from pipeline.tasks import Batch, Examples, LanguageModelling, LossSums, Task, lengths, score
from pipeline.training import augmentation
from pipeline.training.augmentation import Augmentation

Tree = dict[str, Any]
Rows = dict[str, list[Array]]  # of each table, what belongs to the rows that were looked up
Carry = tuple[Tree, Tree, LossSums]
FIXED_BATCH, RAGGED_BATCH = 250, 64  # of examples that are only predicted: of one shape, of any length


class State(NamedTuple):
    step: Int[Array, ""]
    params: Tree
    rest: Tree  # what the model keeps besides: the running averages of its normalisation
    opt: optax.OptState


@dataclass(frozen=True, eq=False)  # hashed by identity, so each Learner compiles once
class Learner:
    task: Task
    graphdef: nnx.GraphDef[Any]
    tables: frozenset[str]  # the dotted names of the parameters whose rows are looked up
    tx: optax.GradientTransformation
    seed: int
    label_smoothing: float
    class_weights: Float[np.ndarray, " k"] | None
    augmentation: Augmentation | None
    microbatches: int = 1
    mesh: jax.sharding.Mesh | None = None
    cuts: Mapping[str, int] = field(default_factory=dict)  # how the mesh's devices share out a layer

    @partial(jax.jit, static_argnums=(0, 5), donate_argnums=1)
    def train_block(
        self, state: State, data: Examples, rows: Int[Array, "s b"], steps: Int[Array, ""], length: int
    ) -> tuple[State, Float[Array, "s 4"]]:
        """Takes the first `steps` steps, one batch of `rows` each, in one dispatch; the Sums of each are a row.

        `state` is donated: rebind it, as in `state, sums = learner.train_block(state, ...)`. The number of steps is no
        part of the compiled shape: how an epoch is cut into blocks compiles nothing, and changes no bit of any result.
        """

        def step(i: Int[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
            state, found = carry
            state, sums = self.train_step(state, self.batch(data, rows[i], length))
            if self.mesh:  # where it was: so the next step finds it
                state = jax.lax.with_sharding_constraint(state, sharding.state_shardings(self.mesh, state, self.cuts))
            return state, found.at[i].set(jnp.stack(sums))

        state, found = jax.lax.fori_loop(0, steps, step, (state, jnp.zeros((len(rows), len(LossSums._fields)))))
        return state, sharding.replicate(self.mesh, found)

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The examples `rows`, each device's share on it. A text's windows come to each device apart, and `rows` tells
        it where its own are.
        """
        if isinstance(self.task, LanguageModelling):
            return sharding.map_shards(self.mesh, lambda own, some: self.task.batch(own, some, length), data, rows)
        return sharding.shard_batch(self.mesh, self.task.batch(data, rows, length))

    def train_step(self, state: State, batch: Batch) -> tuple[State, LossSums]:
        """One step downhill. Its randomness is a function of (seed, step), so a resumed run draws the same."""
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        key, own = jax.random.split(key)
        batch = augmentation.batch(batch, self.augmentation, self.task, own)
        found = self.gradients if self.microbatches == 1 else self.accumulated
        gradients, rows, (sums, rest, used) = found(state.params, state.rest, batch, key)
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
        params, opt = embedding.update_rows(self.tx, gradients, state.opt, state.params, ids, names)
        return State(state.step + 1, params, rest, opt), sums

    def gradients(
        self, params: Tree, rest: Tree, batch: Batch, key: Array
    ) -> tuple[Tree, Rows, tuple[LossSums, Tree, Rows]]:
        """The gradients of the mean loss: of the parameters, and of the rows that were looked up in each table; and the
        Sums, what the model keeps besides, and which rows those were.
        """
        asked: dict[str, list[tuple[int, ...]]] = {name: [] for name in self.tables}

        def loss(params: Tree, slots: Rows) -> tuple[Float[Array, ""], tuple[LossSums, Tree, Rows]]:
            """`slots` are zeros added to the rows that are looked up: their gradient is that of the rows."""
            model = self.model(params, rest)
            used: Rows = {name: [] for name in self.tables}

            def watch(name: str) -> Hook:
                def found(rows: Float[Array, "... d"], ids: Int[Array, "..."]) -> Float[Array, "... d"]:
                    number = len(used[name])
                    used[name].append(ids.reshape(-1))
                    asked[name].append(rows.shape)
                    return jax.lax.stop_gradient(rows) + slots[name][number] if slots else rows

                return found

            embedding.hook(model, watch)
            sums = self.scored(model, batch, training=True, rngs=nnx.Rngs(dropout=key))
            return sums.loss / jnp.maximum(sums.weight, 1e-9), (sums, pure(model, nnx.Not(nnx.Param)), used)

        if self.tables:
            jax.eval_shape(loss, params, {})  # fills `asked`
        slots = {name: [jnp.zeros(shape) for shape in shapes] for name, shapes in asked.items()}
        (gradients, rows), found = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, slots)
        return gradients, rows, found

    def accumulated(
        self, params: Tree, rest: Tree, batch: Batch, key: Array
    ) -> tuple[Tree, Rows, tuple[LossSums, Tree, Rows]]:
        """As `gradients`, a part of the batch at a time: its activations alone are in memory."""
        parts = jax.tree.map(lambda x: x.reshape(self.microbatches, -1, *x.shape[1:]), batch)

        def add(carry: Carry, part: tuple[Batch, Array]) -> tuple[Carry, tuple[Rows, Rows]]:
            total, rest, sums = carry
            batch, key = part
            gradients, rows, (own, rest, used) = self.gradients(
                params, rest, sharding.shard_batch(self.mesh, batch), key
            )
            gradients, rows = jax.tree.map(lambda x: x * own.weight, (gradients, rows))
            total, sums = jax.tree.map(jnp.add, (total, sums), (gradients, own))
            return (total, rest, sums), (rows, used)

        nothing = jax.tree.map(jnp.zeros_like, params)
        zeros = LossSums(*(jnp.zeros(()) for _ in LossSums._fields))
        keys = jax.random.split(key, self.microbatches)
        (gradients, rest, sums), (rows, used) = jax.lax.scan(add, (nothing, rest, zeros), (parts, keys))
        gradients, rows = jax.tree.map(lambda x: x / jnp.maximum(sums.weight, 1e-9), (gradients, rows))
        return gradients, rows, (sums, rest, used)

    def scored(self, model: Any, batch: Batch, *, training: bool = False, rngs: nnx.Rngs | None = None) -> LossSums:
        """How well the model does on a batch. What only helps to learn counts in training alone."""
        smoothing = self.label_smoothing if training else 0.0
        if isinstance(self.task, LanguageModelling):
            x = model.hidden(batch.inputs, training=training, rngs=rngs)  # b t d
            valid, targets = batch.valid.reshape(-1), batch.targets.reshape(-1)
            total = partial(cross_entropy.total, label_smoothing=smoothing)
            loss, hits = sharding.map_sum_shards(
                self.mesh, total, model.table[...], x.reshape(-1, x.shape[-1]), targets, valid
            )
            count = valid.sum(dtype=jnp.float32)
            return LossSums(loss, count, hits, count)
        logits = model(batch.inputs, training=training, rngs=rngs)  # b *t k
        weigh = training and self.class_weights is not None
        weights = jnp.asarray(self.class_weights) if weigh else None
        return score(logits, batch, label_smoothing=smoothing, class_weights=weights)

    @partial(jax.jit, static_argnums=(0, 5))
    def logits(
        self, params: Tree, rest: Tree, data: Examples, rows: Int[Array | np.ndarray, " b"], length: int
    ) -> Float[Array, "b *t k"]:
        """What the model says of the examples `rows`, as in use: no dropout, running averages."""
        return self.model(params, rest)(self.task.batch(data, jnp.asarray(rows), length).inputs)

    @partial(jax.jit, static_argnums=(0, 5))
    def measure(
        self, params: Tree, rest: Tree, data: Examples, rows: Int[Array | np.ndarray, " b"], length: int
    ) -> LossSums:
        """How well the model, as in use, does on the examples `rows`."""
        batch = self.batch(data, jnp.asarray(rows), length)
        return sharding.replicate(self.mesh, self.scored(self.model(params, rest), batch))

    @partial(jax.jit, static_argnums=0)
    def surprise(self, params: Tree, rest: Tree, tokens: Integer[Array | np.ndarray, "b t"]) -> Scores:
        """How a language model takes each token of these texts but the first, from those before it: `b t-1`. Devices
        share the texts, evenly.
        """
        model: Any = self.model(params, rest)
        texts: Array = sharding.shard_batch(self.mesh, jnp.asarray(tokens, jnp.int32))
        x = model.hidden(texts[:, :-1])
        each = partial(cross_entropy.each, model.table[...])
        found = sharding.map_shards(self.mesh, each, x.reshape(-1, x.shape[-1]), texts[:, 1:].reshape(-1))
        return sharding.replicate(self.mesh, Scores(*(array.reshape(len(texts), -1) for array in found)))

    def model(self, params: Tree, rest: Tree) -> nnx.Module:
        if self.mesh is None:
            return nnx.merge(self.graphdef, params, rest)
        together = partial(sharding.gather_fsdp, self.mesh, self.cuts)
        if not self.cuts:
            return nnx.merge(self.graphdef, together(params), rest)
        model: Any = nnx.merge(self.graphdef, params, rest)
        model.together = together  # it is large: one layer's weights at a time
        return model


def start(
    config: Config,
    task: Task,
    tx: optax.GradientTransformation,
    *,
    seed: int,
    label_smoothing: float = 0.0,
    class_weights: Float[np.ndarray, " k"] | None = None,
    augmentation: Augmentation | None = None,
    microbatches: int = 1,
    devices: jax.sharding.Mesh | None = None,
) -> tuple[Learner, State]:
    """A learner, and the state before its first step; on a mesh no device ever has more of it than its share."""

    def built() -> nnx.Module:
        return config.build(task, rngs=nnx.Rngs(seed))  # type: ignore[arg-type]

    def begun(model: nnx.Module) -> State:
        params, rest = pure(model, nnx.Param), pure(model, nnx.Not(nnx.Param))
        return State(jnp.zeros((), jnp.int32), params, rest, tx.init(params))

    model = nnx.eval_shape(built) if devices else built()
    cuts = getattr(config, "cuts", {})
    learner = Learner(
        task,
        nnx.graphdef(model),
        frozenset(weights.named(pure(model, Table))),
        tx,
        seed,
        label_smoothing,
        class_weights,
        augmentation,
        microbatches,
        devices,
        cuts,
    )
    if devices is None:
        return learner, begun(model)
    shares = sharding.state_shardings(devices, jax.eval_shape(lambda: begun(built())), cuts)
    return learner, jax.jit(lambda: begun(built()), out_shardings=shares)()


def restore(config: Config, task: Task, path: Path) -> tuple[Learner, Tree]:
    """A learner that only predicts, and the {"params": ..., "rest": ...} that training left at `path`."""
    learner, state = start(config, task, optax.identity(), seed=0)
    return learner, weights.read(path, {"params": state.params, "rest": state.rest})


def trained(name: str, network: dict[str, Any]) -> tuple[Learner, Task, Tree]:
    """What preprocess and train left for the stages after them: of model `name` with `network`, the section of
    params.yaml.
    """
    task = tasks.read(paths.FEATURES / "task.json")
    config = params.validate(CONFIGS[name], network, under=f"models.{name}.network")
    learner, tree = restore(config, task, paths.TRAINED / "weights.safetensors")
    return learner, task, tree


def pure(model: nnx.Module, kind: Any) -> Tree:
    """The model's variables of one kind, as nested dicts of arrays."""
    return nnx.to_pure_dict(nnx.state(model, kind))


def predict(learner: Learner, params: Tree, rest: Tree, examples: Examples) -> Float[np.ndarray, "n k"]:
    """The logits of every target, in the order of the targets: a row an example, or a row a token.

    In batches of few shapes: those that fall short are filled up, so that nothing compiles twice.
    """
    out = np.zeros((len(examples.targets), learner.task.num_classes), np.float32)
    data = jax.device_put(examples)
    for rows, length in evaluation_batches(examples):
        found = np.asarray(learner.logits(params, rest, data, rows, length))
        there = rows[rows >= 0]
        if found.ndim == 2:
            out[there] = found[: len(there)]
        else:
            starts = np.asarray(examples.starts)
            for row, logits in zip(there, found):
                out[starts[row] : starts[row + 1]] = logits[: starts[row + 1] - starts[row]]
    return out


def measure(learner: Learner, params: Tree, rest: Tree, data: Examples, plan: list[tuple[Any, int]]) -> LossSums:
    """The sums over the batches of `plan`, which `evaluation_batches` made for the same data."""
    parts = [learner.measure(params, rest, data, rows, length) for rows, length in plan]
    return LossSums(*(np.sum([float(part[i]) for part in parts]) for i in range(len(LossSums._fields))))  # type: ignore[arg-type]


def evaluation_batches(examples: Examples) -> list[tuple[Int[np.ndarray, " b"], int]]:
    """All examples, shortest bucket first, in batches for evaluation."""
    sizes = lengths(examples)
    size = FIXED_BATCH if sizes is None else RAGGED_BATCH
    ends = buckets.bucket_lengths(sizes)
    return [
        (buckets.padded(some, size), bucket.length)
        for bucket in buckets.sorted_by(sizes, np.arange(len(examples)), ends)
        for some in buckets.cut(bucket.rows, size)
    ]


def _names(params: Tree) -> Tree:
    """A tree like `params` of the parameters' dotted names."""
    return jax.tree.unflatten(jax.tree.structure(params), list(weights.named(params)))
