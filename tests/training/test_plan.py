"""The plan of a language model's training: near what the compiler says, and a refusal that names what to turn."""

from pathlib import Path
from typing import Any

import pytest
from imports import TOP
from ruamel.yaml import YAML
from small_packages import dump

from pipeline.commands import plan
from pipeline.config.networks import RNN_SIZES, GPTConfig, RNNConfig, RNNSize
from pipeline.config.optimizers import AdamW, Constant, Muon
from pipeline.config.training import Mesh, Training
from pipeline.runtime.errors import UserError
from pipeline.training import memory_plan

MUON, ADAM = Muon(name="muon"), AdamW(name="adamw")


def transformer(**changes: Any) -> GPTConfig:
    return GPTConfig.model_validate({"precision": "float32", "dropout": 0.0, "remat": "none"} | changes)


def recurrent(**changes: Any) -> RNNConfig:
    return RNNConfig.model_validate({"precision": "float32", "dropout": 0.0} | changes)


def settings(batch: int, **changes) -> Training:
    return Training(
        epochs=1,
        batch_size=batch,
        learning_rate=1e-3,
        optimizer=changes.pop("optimizer", ADAM),
        schedule=Constant(name="constant"),
        weight_decay=0.1,
        gradient_clip=1.0,
        label_smoothing=0.0,
        early_stopping=None,
        augmentation=None,
        **changes,
    )


CASES = [
    (transformer(variant="nano", context=256), settings(8, optimizer=MUON), 86),
    (transformer(variant="nano", context=128, remat="full"), settings(32), 5_000),
    (transformer(variant="124m", context=512), settings(4), 50_304),
    (transformer(variant="124m", context=512, remat="dots"), settings(4), 50_304),
    (transformer(variant="124m", context=1_024, remat="full"), settings(4), 50_304),
    (transformer(variant="124m", context=512), settings(8, microbatches=4), 50_304),
    (recurrent(variant="124m", cell="linear", context=512), settings(4), 50_304),
    (recurrent(variant="124m", cell="lstm", context=512), settings(4), 50_304),
    (recurrent(variant="nano", cell="linear", context=256), settings(16, optimizer=MUON), 86),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "training", "vocabulary"),
    [CASES[0], CASES[2], *(pytest.param(*case, marks=pytest.mark.long) for case in (CASES[1], *CASES[3:]))],
)
def test_memory_is_what_the_compiler_says(config, training, vocabulary, monkeypatch):
    monkeypatch.setitem(RNN_SIZES, ("linear", "124m"), RNNSize(4, 768))  # of 13 layers, which take a minute to compile
    trainer, state = plan.abstract_start(config, training, vocabulary)
    guess = memory_plan.total(memory_plan.estimate(trainer, state, config, training).memory)
    assert guess == pytest.approx(plan.compiled_bytes(trainer, state, config, training), rel=0.15)


def test_memory_of_a_gpu_that_is_not_here():
    """The compiler said 20.09 GiB on an H200, where attention is a kernel that keeps no scores."""
    config = transformer(variant="124m", context=1_024, precision="bfloat16")
    trainer, state = plan.abstract_start(config, settings(32), 47_194)
    found = memory_plan.total(memory_plan.estimate(trainer, state, config, settings(32), gpu=True).memory)
    assert found == pytest.approx(20.09 * memory_plan.GIB, rel=0.15)
    here = memory_plan.estimate(trainer, state, config, settings(32), gpu=False)
    assert memory_plan.total(here.memory) > 1.5 * found


def test_operations_a_token():
    """Six a parameter, and those of attention; a second forward pass adds two a parameter."""
    config, training = transformer(variant="124m", context=1_024), settings(4)
    trainer, state = plan.abstract_start(config, training, 50_304)
    found = memory_plan.estimate(trainer, state, config, training)
    assert found.parameters == 123_568_128
    assert found.flops == 6 * 123_568_128 + 12 * 12 * 768 * 1_024
    again = memory_plan.estimate(trainer, state, config.model_copy(update={"remat": "full"}), training)
    assert again.flops - found.flops == 2 * 123_568_128


@pytest.mark.parametrize(
    ("gib", "batch", "changes", "cure"),
    [
        (1, 4, {}, "choose a smaller variant"),
        (3, 4, {}, r"raise training.microbatches \(now 1\) or lower training.batch_size, or set network.remat to full"),
        (2.5, 1, {}, "set network.remat to full"),
        (2.2, 1, {"remat": "full", "context": 4_096}, "lower network.context"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_cure(gib, batch, changes, cure):
    config = transformer(**{"variant": "124m", "context": 512} | changes)
    trainer, state = plan.abstract_start(config, settings(batch), 50_304)
    found = memory_plan.estimate(trainer, state, config, settings(batch))
    with pytest.raises(UserError, match=rf"this run needs about \d+\.\d GiB, and the device has .*: {cure}"):
        memory_plan.refuse(found, gib * memory_plan.GIB, settings(batch), config)
    memory_plan.refuse(found, 100 * memory_plan.GIB, settings(batch), config)


def test_devices_share_the_state_and_the_batch():
    config = transformer(variant="124m", context=512)
    found = []
    for mesh in (None, Mesh(data=2, fsdp=4), Mesh(data=2, fsdp=1, tensor=4)):
        trainer, state = plan.abstract_start(config, settings(8, mesh=mesh), 50_304)
        found.append(memory_plan.estimate(trainer, state, config, settings(8, mesh=mesh)).memory)
    alone, *others = found
    for shared in others:
        assert shared.weights == alone.weights // 4
        assert shared.optimiser == alone.optimiser // 4
    assert others[0].activations == pytest.approx(alone.activations / 8, rel=0.2)
    assert alone.activations / 8 < others[1].activations < alone.activations / 4  # the stream is not cut


def params(folder: Path, **changes) -> None:
    content = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    content |= {"dataset": "shakespeare", "model": "gpt"} | changes
    dump(content, folder / "params.yaml")


def test_it_speaks_of_what_params_yaml_chooses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["plan", "--card", "h100"])
    params(tmp_path)
    plan.main()
    said = capsys.readouterr().out
    assert "gpt nano: 3,205,120 parameters, vocabulary 1,000" in said
    assert "fits into 74.5 GiB" in said
    content = YAML(typ="safe").load((tmp_path / "params.yaml").read_text())
    for mesh, mistake in (
        ({"data": 1, "fsdp": 1, "tensor": 3}, "mesh.tensor: 3 devices cannot share 2 key/value heads evenly: lower it"),
        ({"data": 3, "fsdp": 1}, "mesh: 3 devices cannot share 8 examples evenly: change batch_size"),
    ):
        content["models"]["gpt"]["training"] |= {"mesh": mesh}
        dump(content, tmp_path / "params.yaml")
        with pytest.raises(UserError, match=mistake):
            plan.main()
    params(tmp_path, dataset="fashion-mnist", model="cnn")
    with pytest.raises(UserError, match="plan is for language models only"):
        plan.main()
    params(tmp_path)
    content["models"]["gpt"]["training"] |= {"mesh": None, "epochs": 1 << 31}
    dump(content, tmp_path / "params.yaml")
    with pytest.raises(UserError, match=r"params\.yaml: models\.gpt\.training\.epochs: 2,147,483,648 epochs of"):
        plan.main()
    monkeypatch.setattr("sys.argv", ["plan", "--utilisation", "0"])
    with pytest.raises(UserError, match="--utilisation: must be more than 0"):
        plan.main()
    monkeypatch.setattr("sys.argv", ["plan", "--card", "h100", "--compile"])
    with pytest.raises(UserError, match="--compile asks the compiler for the device here: leave --card out"):
        plan.main()
