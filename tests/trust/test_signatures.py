"""A package that must be signed is used only as whoever has the private key signed it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.runtime import package
from pipeline.runtime.errors import UserError
from pipeline.runtime.generator import Generator
from pipeline.runtime.predictor import Predictor
from pipeline.runtime.trust import manifest, signatures

pytest.importorskip("model_signing", reason="pip install '.[sign]'")


class Pair(NamedTuple):
    private: Path
    public: Path


def new_pair(folder: Path, curve: str = "prime256v1") -> Pair:
    """By the commands that the error message and the page name."""
    folder.mkdir()
    command = signatures.NEW_PAIR.replace("prime256v1", curve)
    subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)
    return Pair(folder / "key.pem", folder / "pub.pem")


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return new_pair(tmp_path / "keys")


@pytest.fixture
def signed(old: Path, pair: Pair) -> Path:
    assert signatures.sign(old, pair.private) == old.with_name("old.sig")
    return old


def refused(folder: Path, key: Path) -> str:
    with pytest.raises(UserError) as error:
        package.open_package(folder, key)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(folder), "PACKAGE")


def test_a_signed_package_is_opened_wherever_it_is_copied(signed, pair, tmp_path):
    assert package.open_package(signed, pair.public)["task"] == "classification"
    (tmp_path / "else").mkdir()
    copy = shutil.copytree(signed, tmp_path / "else/old")
    shutil.copy(tmp_path / "old.sig", tmp_path / "else")
    assert package.open_package(copy, pair.public)
    renamed = copy.rename(tmp_path / "else/model")
    assert refused(renamed, pair.public) == f"PACKAGE: no signature: PACKAGE.sig is not there: {BESIDE}"
    (tmp_path / "else/old.sig").rename(tmp_path / "else/model.sig")
    assert package.open_package(renamed, pair.public)


BESIDE = "put it beside the folder, with the folder's name"


def test_a_model_requires_it_before_anything_is_read(signed, pair):
    assert Predictor(signed, require_key=pair.public).config["task"] == "classification"
    signatures.file_of(signed).unlink()
    (signed / "config.json").write_text("no JSON")
    for model in (Predictor, Generator):
        with pytest.raises(UserError, match="no signature"):
            model(signed, require_key=pair.public)


def test_commands_require_it(signed, pair, monkeypatch, capsys):
    from pipeline.commands import selftest
    from pipeline.commands.packages import repackage, sign
    from pipeline.runtime.commands import predict

    image = str(signed / "sample/0.png")
    monkeypatch.setattr(sys, "argv", ["sign", str(signed), "--key", str(pair.private)])
    sign.main()
    assert capsys.readouterr().out.endswith(f"old.sig: the signature of {signed}; copy it with the folder\n")
    monkeypatch.setattr(sys, "argv", ["predict", str(signed), image, "--csv", "--require-key", str(pair.public)])
    assert predict.main() == 0
    (signed / "labels.json").write_text("{}")
    commands = ((predict, (image,)), (selftest, ("features", "predictions")), (repackage, ()))
    for command, arguments in commands:
        given = ["command", str(signed), *arguments, "--require-key", str(pair.public)]
        monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(UserError, match=r"is not as it was signed: .*labels\.json"):
            command.main()


def test_the_signature_changes_no_file_of_the_package(old, pair):
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    signatures.sign(old, pair.private)
    assert before == {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}


def test_the_library_s_own_command_reads_it(signed, pair):
    command = [sys.executable, "-m", "model_signing", "verify", "key", signed, "--public_key", pair.public]
    signature = ["--signature", signatures.file_of(signed)]
    assert subprocess.run([*command, *signature], capture_output=True).returncode == 0
    (signed / "config.json").write_text("{}")
    assert subprocess.run([*command, *signature], capture_output=True).returncode == 1


def test_what_was_changed_is_named_though_the_manifest_fits(signed, pair):
    labels = signed / "labels.json"
    content = labels.read_text()
    labels.write_text(content.replace('"0"', '"2"'))
    manifest.seal(signed)
    assert package.open_package(signed)
    why = refused(signed, pair.public)
    assert why.startswith("PACKAGE: is not as it was signed")
    assert "labels.json" in why
    assert "manifest.json" in why


@pytest.mark.parametrize("name", ["runtime/more.py", ".gitignore", ".git/hooks"])
def test_what_was_added_or_left_out_is_named(signed, pair, name):
    (signed / name).parent.mkdir(exist_ok=True)
    (signed / name).write_text("")
    assert f"Extra files found in model 'old': {name}" in refused(signed, pair.public)
    (signed / name).unlink()
    (signed / "runtime/windows.py").unlink()
    assert "Missing files in model 'old': runtime/windows.py" in refused(signed, pair.public)


def test_compiled_code_is_named(signed, pair):
    """Python would run it in place of the source that is signed; nobody signs it either."""
    (signed / "runtime/__pycache__").mkdir()
    (signed / "runtime/__pycache__/errors.cpython-311.pyc").touch()
    assert package.open_package(signed)
    why = "PACKAGE: runtime/__pycache__/errors.cpython-311.pyc is compiled code, which no signature covers"
    assert refused(signed, pair.public).startswith(why)
    with pytest.raises(UserError, match="is compiled code"):
        signatures.sign(signed, pair.private)


def test_a_link_is_refused_before_anything_is_read(signed, pair, tmp_path):
    (signed / "labels.json").rename(tmp_path / "labels.json")
    (signed / "labels.json").symlink_to(tmp_path / "labels.json")
    assert refused(signed, pair.public).startswith("PACKAGE: labels.json is a link")


def test_another_key(signed, tmp_path):
    other = new_pair(tmp_path / "other").public
    why = f"is signed by another key than {other}: do not use it unless you trust who signed it"
    assert refused(signed, other) == f"PACKAGE: {why}"


def test_a_forged_signature(signed, pair, tmp_path):
    """By another key, with the hint to the right one."""
    path = signatures.file_of(signed)
    ours = json.loads(path.read_text())
    signatures.sign(signed, new_pair(tmp_path / "other").private)
    theirs = json.loads(path.read_text())
    theirs["verificationMaterial"] = ours["verificationMaterial"]
    path.write_text(json.dumps(theirs))
    assert "the signature PACKAGE.sig is not valid (InvalidSignature)" in refused(signed, pair.public)


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, "\0", '{"verificationMaterial": {}}'])
def test_a_damaged_signature(signed, pair, content):
    signatures.file_of(signed).write_text(content)
    assert "the signature PACKAGE.sig is not valid (" in refused(signed, pair.public)


def test_keys_that_are_none(signed, pair, tmp_path):
    for key in (pair.private, tmp_path / "old.sig"):
        assert "is not a public key of an elliptic curve, in PEM format" in refused(signed, key)
    assert refused(signed, tmp_path / "none") == f"{tmp_path}/none: no such file or directory: {NAME}"
    unusable = new_pair(tmp_path / "other", "secp256k1")
    assert "Unsupported key for curve 'secp256k1'" in refused(signed, unusable.public)
    command = (
        f"openssl genrsa -out {tmp_path}/rsa.pem 2048; openssl rsa -in {tmp_path}/rsa.pem -pubout > {tmp_path}/r.pub"
    )
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert "is not a public key" in refused(signed, tmp_path / "r.pub")
    for key in (pair.public, tmp_path / "rsa.pem"):
        with pytest.raises(UserError, match="is not a private key that is not encrypted of an elliptic curve"):
            signatures.sign(signed, key)
    subprocess.run(
        f"openssl ec -in {pair.private} -aes128 -passout pass:x -out {tmp_path}/e.pem", shell=True, check=True
    )
    with pytest.raises(UserError, match="Password was not given"):
        signatures.sign(signed, tmp_path / "e.pem")


NAME = "name a public key, a file in PEM format"


def test_a_damaged_package_is_not_signed(old, pair):
    (old / "labels.json").write_text("{}")
    with pytest.raises(UserError, match=r"labels\.json is damaged"):
        signatures.sign(old, pair.private)
    assert not signatures.file_of(old).exists()


def test_without_the_library(signed, pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "model_signing.verifying")
    assert refused(signed, pair.public).endswith(": pip install model-signing pyopenssl")
    assert package.open_package(signed)  # where no signature is required, none is read
