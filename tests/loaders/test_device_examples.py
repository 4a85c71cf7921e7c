"""Examples that do not fit on the device are read as steps need them, and give the same bits."""

import jax
import numpy as np
import optax
import pytest
import small_tasks
from jax import numpy as jnp

from pipeline.config.networks import CNNConfig, LSTMConfig
from pipeline.evaluation.predictor import evaluation_batches, measure, predict
from pipeline.examples.batch import Examples
from pipeline.loaders import device_examples
from pipeline.loaders.buckets import BLOCK
from pipeline.loaders.device_examples import DeviceExamples
from pipeline.loaders.loader import ExampleLoader
from pipeline.training.trainer import start

NETWORKS = {
    "images": CNNConfig(filters=4, kernel=3),
    "texts": LSTMConfig(width=8),
    "sentences": LSTMConfig(width=8),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    task = small_tasks.TASKS[request.param]()
    trainer, state = start(NETWORKS[request.param], task, lambda _: optax.adam(1e-2), seed=0)
    return trainer, state, small_tasks.examples(task, 150)


def trained(case, *, resident):
    trainer, state, examples = case
    state = jax.tree.map(jnp.copy, state)  # training takes its memory
    loader, losses, blocks = ExampleLoader(examples, seed=0, batch=8, resident=resident), [], 0
    for epoch in (1, 2):
        for data, rows, length in loader.load(loader.epoch(epoch), steps_done=epoch):
            padded = np.pad(rows, [(0, BLOCK - len(rows)), (0, 0)])
            state, sums = trainer.train_block(state, data, padded, np.int32(len(rows)), length)
            losses.append(np.asarray(sums)[: len(rows)])
            blocks += 1
    return state, np.concatenate(losses), blocks


def test_training_from_files_gives_the_same_bits(case, monkeypatch):
    state, losses, blocks = trained(case, resident=float("inf"))
    for piece in (1, 3_000, 1 << 25):
        monkeypatch.setattr(device_examples, "PIECE", piece)
        read_state, read_losses, pieces = trained(case, resident=0)
        assert np.array_equal(losses, read_losses)
        leaves = zip(jax.tree.leaves(state), jax.tree.leaves(read_state), strict=True)
        assert all(np.array_equal(a, b) for a, b in leaves)
        assert pieces > blocks if piece == 1 else pieces >= blocks


def test_predictions_and_validation_from_files_are_the_same(case):
    trainer, state, examples = case
    batches = evaluation_batches(examples)
    here, read = DeviceExamples(examples), DeviceExamples(examples, resident=0)
    logits, sums = zip(
        *(
            (
                predict(trainer.predictor, state.params, state.model_state, data),
                measure(trainer.predictor, state.params, state.model_state, data, batches),
            )
            for data in (here, read)
        )
    )
    assert np.array_equal(*logits)
    assert sums[0] == sums[1]


def test_sentences_of_one_word_each_keep_their_own_targets():
    """As many targets as examples: whether they are of tokens or of examples cannot be told, and does not matter."""
    numbers = np.arange(10)
    examples = Examples({"words": numbers + 100}, numbers, np.arange(11))
    taken, places = device_examples.take(examples, np.array([7, -1, 2]), count=4, length=8)
    assert places.tolist() == [1, -1, 0]
    assert taken.inputs["words"][:2].tolist() == [102, 107]
    assert taken.targets[:2].tolist() == [2, 7]
    assert np.asarray(taken.starts).tolist() == [0, 1, 2, 2, 2]
    assert taken.inputs["words"].shape == (32,)


@pytest.mark.parametrize(("too_little", "stays"), [(0, True), (4, False)])
def test_what_takes_too_much_of_the_memory_is_read_each_time(too_little, stays, monkeypatch):
    examples = small_tasks.examples(small_tasks.images(), 100)
    memory = device_examples.size(examples) / device_examples.SHARE - too_little
    monkeypatch.setattr(device_examples.device_memory, "available", lambda: memory)
    data, blocks = DeviceExamples(examples), ExampleLoader(examples, seed=0, batch=50).epoch(1)
    (one,), (again,) = data.load(blocks), data.load(blocks)
    assert (one.data is again.data) == stays
