"""`python -m pipeline verify`: what its report counts, and the reason that it gives."""

from typing import Any

from pipeline.commands import verify

MACHINE = {"architecture": "x86_64", "threads": "2", "jax": "0.10.2"}
RECORDED = {"weights": "0" * 64, "train": MACHINE, "evaluate": MACHINE}


def lock(trained: str = "a", machines: str = "m", features: str = "f") -> dict[str, Any]:
    """The stages of a dvc.lock with these hashes."""

    def entries(**hashes: str) -> list[dict[str, str]]:
        return [{"path": path, "md5": md5} for path, md5 in hashes.items()]

    return {
        "train": {"deps": entries(**{"data/features/train": features}), "outs": entries(trained=trained)},
        "evaluate": {
            "deps": entries(trained=trained),
            "outs": entries(**{"evaluation": f"{trained}.dir", "metrics/machines.json": machines}),
        },
    }


def test_equal_outputs(capsys):
    assert verify.report(lock(), lock(), []) == 0
    out = capsys.readouterr().out
    assert "2 of 2 outputs are the same, byte for byte" in out
    assert "DIFFER" not in out


def test_the_recorded_machine_is_no_output(capsys):
    assert verify.report(lock(), lock(machines="n"), ["threads: 2 then, 8 now"]) == 0
    out = capsys.readouterr().out
    assert "machines.json" not in out
    assert "2 of 2 outputs" in out


def test_another_machine_is_the_likely_reason(capsys):
    machine = verify.differences(RECORDED, {**MACHINE, "threads": "8"})
    assert machine == ["threads: 2 then, 8 now"]
    assert verify.report(lock(), lock(trained="b"), machine) == 1
    out = capsys.readouterr().out
    assert "the results were made on another machine:\n  threads: 2 then, 8 now\n0 of 2 outputs" in out


def test_the_same_kind_of_machine_leaves_the_pipeline(capsys):
    assert verify.differences(RECORDED, MACHINE) == []
    assert verify.report(lock(), lock(trained="b"), []) == 1
    assert "something in the pipeline depends on more than its inputs" in capsys.readouterr().out


def test_other_inputs_than_the_committed_ones(capsys):
    assert verify.report(lock(), lock(trained="b", features="g"), ["threads: 2 then, 8 now"]) == 1
    assert "was not made from the committed files (data/features/train)" in capsys.readouterr().out


def test_a_machine_that_was_not_recorded():
    assert verify.differences({"weights": "0", "train": {}, "evaluate": MACHINE}, {**MACHINE, "jax": "1"}) == [
        "jax: 0.10.2 then, 1 now"
    ]
