"""Settings that are left to the size of the data."""

import pytest

from pipeline.config.training import TrainingSection


@pytest.mark.parametrize(
    ("examples", "batch_size", "epochs"),
    [(3, 3, 1_000), (40, 8, 200), (300, 8, 28), (400, 16, 40), (799, 16, 21), (800, 32, 40), (54_000, 32, 10)],
)
def test_auto(examples, batch_size, epochs):
    settings = TrainingSection().resolved(examples)
    assert (settings.batch_size, settings.epochs) == (batch_size, epochs)
    assert settings.resolved(examples) == settings


def test_a_number_stays_what_it_is():
    settings = TrainingSection(epochs=2, batch_size=500).resolved(40)
    assert (settings.batch_size, settings.epochs) == (500, 2)
    assert TrainingSection(batch_size=128).resolved(1_280).epochs == 100
    assert TrainingSection(batch_size=8, epoch_steps=50).resolved(10**6).epochs == 20
