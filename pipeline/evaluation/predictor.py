"""What a model says of examples: logits, losses, the loss of each token.

Evaluation, explanations and the package build the network here, as training does, and need none of its code.
Parameters are plain nested dicts of arrays; the module exists only inside jit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Integer

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.examples.batch import Batch, Examples, LossSums, lengths
from pipeline.examples.task import Task
from pipeline.layers import cross_entropy
from pipeline.layers.cross_entropy import TokenScores
from pipeline.loaders import buckets
from pipeline.loaders.buckets import Block
from pipeline.loaders.device_examples import DeviceExamples
from pipeline.models import GathersByLayer, LanguageModel, build, weights
from pipeline.parallel import sharding

Tree = dict[str, Any]
Batches = list[tuple[Int[np.ndarray, " b"], int]]  # rows, -1 where a batch falls short, and the length in tokens
FIXED_BATCH, RAGGED_BATCH = 250, 64  # examples that are predicted together: of one shape, of any length


@dataclass(frozen=True, eq=False)  # hashed by identity, so each Predictor compiles once
class Predictor:
    task: Task
    graphdef: nnx.GraphDef[Any]
    mesh: jax.sharding.Mesh | None = None
    tensor_axes: Mapping[str, int] = field(default_factory=dict)  # see parallel.sharding

    def model(self, params: Tree, model_state: Tree) -> nnx.Module:
        """The network with these arrays: inside jit."""
        if self.mesh is None:
            return nnx.merge(self.graphdef, params, model_state)
        gather = partial(sharding.gather_fsdp, self.mesh, self.tensor_axes)
        model: nnx.Module = nnx.merge(self.graphdef, params, model_state)
        if not isinstance(model, GathersByLayer):
            return nnx.merge(self.graphdef, gather(params), model_state)
        model.gather = gather
        return model

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The examples `rows`, each device's share on it. Where each device gathers from its own part of the data,
        `rows` are places in that part.
        """
        inputs = self.task.inputs
        if inputs.by_shard:
            return sharding.map_shards(self.mesh, lambda own, some: inputs.batch(own, some, length), data, rows)
        return sharding.shard_batch(self.mesh, inputs.batch(data, rows, length))

    @partial(jax.jit, static_argnums=(0, 5))
    def logits(
        self, params: Tree, model_state: Tree, data: Examples, rows: Int[Array | np.ndarray, " b"], length: int
    ) -> Float[Array, "b *t k"]:
        """The logits of the examples `rows`, as in use: no dropout, running averages."""
        logits = self.model(params, model_state)(self.task.inputs.batch(data, jnp.asarray(rows), length).inputs)
        return sharding.replicate(self.mesh, logits)

    @partial(jax.jit, static_argnums=(0, 5))
    def measure(
        self, params: Tree, model_state: Tree, data: Examples, rows: Int[Array | np.ndarray, " b"], length: int
    ) -> LossSums:
        """How well the model, as in use, does on the examples `rows`."""
        batch, model = self.batch(data, jnp.asarray(rows), length), self.model(params, model_state)
        return sharding.replicate(self.mesh, self.task.loss_sums(model, batch, mesh=self.mesh))

    @partial(jax.jit, static_argnums=0)
    def token_scores(self, params: Tree, model_state: Tree, tokens: Integer[Array | np.ndarray, "b t"]) -> TokenScores:
        """How a language model predicts each token of these texts but the first, from those before it: `b t-1`. Devices
        share the texts evenly.
        """
        model = cast(LanguageModel, self.model(params, model_state))
        texts: Array = sharding.shard_batch(self.mesh, jnp.asarray(tokens, jnp.int32))
        x = model.hidden(texts[:, :-1])
        of_each: Callable[..., TokenScores] = partial(cross_entropy.token_scores, model.table[...])
        scores = sharding.map_shards(self.mesh, of_each, x.reshape(-1, x.shape[-1]), texts[:, 1:].reshape(-1))
        return sharding.replicate(self.mesh, TokenScores(*(array.reshape(len(texts), -1) for array in scores)))


def restore(
    config: NetworkSettings, task: Task, path: Path = paths.TRAINED / "weights.safetensors"
) -> tuple[Predictor, Tree]:
    """A predictor, and the {"params": ..., "model_state": ...} that training wrote to `path`, on the device: from the
    host, they would be copied there with every batch. Raises UserError.
    """
    model = nnx.eval_shape(lambda: build(config, task.inputs, task.outputs, rngs=nnx.Rngs(0)))  # computes no number
    like = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    return Predictor(task, nnx.graphdef(model)), jax.device_put(weights.read(path, like))


def variables(model: nnx.Module, kind: Any) -> Tree:
    """The model's variables of one kind, as nested dicts of arrays."""
    return nnx.to_pure_dict(nnx.state(model, kind))


def predict(
    predictor: Predictor, params: Tree, model_state: Tree, examples: Examples | DeviceExamples
) -> Float[np.ndarray, "n k"]:
    """The logits of every target, in the order of the targets: a row an example, or a row a token.

    In batches of few shapes: those that fall short are padded, so that nothing compiles twice.
    """
    data = examples if isinstance(examples, DeviceExamples) else DeviceExamples(examples)
    examples = data.examples
    out = np.zeros((len(examples.targets), predictor.task.outputs), np.float32)
    batches = evaluation_batches(examples)
    for (rows, length), (there, places) in zip(batches, loaded(data, batches)):
        logits = np.asarray(predictor.logits(params, model_state, there, places, length))
        real = rows[rows >= 0]
        if logits.ndim == 2:
            out[real] = logits[: len(real)]
        else:
            starts = np.asarray(examples.starts)
            for row, of_row in zip(real, logits):
                out[starts[row] : starts[row + 1]] = of_row[: starts[row + 1] - starts[row]]
    return out


def loaded(data: DeviceExamples, batches: Batches) -> Iterator[tuple[Examples, Int[np.ndarray, " b"]]]:
    """For each batch, examples on the device, and which of them are the batch's."""
    for block in data.load((Block(rows[None], length) for rows, length in batches), steps=1):
        yield block.data, block.rows[0]


def measure(predictor: Predictor, params: Tree, model_state: Tree, data: DeviceExamples, batches: Batches) -> LossSums:
    """The sums over `batches`, which `evaluation_batches` made for the same data."""
    parts = [
        predictor.measure(params, model_state, there, places, length)
        for (_, length), (there, places) in zip(batches, loaded(data, batches))
    ]
    return LossSums(*(np.sum([float(part[i]) for part in parts]) for i in range(len(LossSums._fields))))  # type: ignore[arg-type]


def evaluation_batches(examples: Examples) -> Batches:
    """All examples, shortest bucket first."""
    sizes = lengths(examples)
    size = FIXED_BATCH if sizes is None else RAGGED_BATCH
    ends = buckets.bucket_lengths(sizes)
    return [
        (buckets.pad_batch(some, size), bucket.length)
        for bucket in buckets.group_by_length(sizes, np.arange(len(examples)), ends)
        for some in buckets.batched(bucket.rows, size)
    ]
