"""The bill of materials is valid CycloneDX, names model, data and libraries, and has nothing of the run in it."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pipeline.packaging import requirements, sbom

MADE_FROM = {"data/features/train/images.npy": "ab" * 32}


@pytest.fixture
def made(tmp_path: Path) -> str:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    requirements.write(tmp_path / requirements.FILE, requirements.names("texts", "onnx"))
    sbom.write(tmp_path, model="lstm", dataset="spam", source="data/raw/spam/mails.csv", data=MADE_FROM)
    return (tmp_path / sbom.FILE).read_text()


def test_it_fits_the_schema(made):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(made) is None
    assert validator.validate_str(made.replace('"type": "library"', '"type": "book"')) is not None


def test_it_says_what_is_in_the_package(made, tmp_path):
    content = json.loads(made)
    model = content["metadata"]["component"]
    assert (model["name"], model["type"]) == ("spam-lstm", "machine-learning-model")
    assert model["hashes"] == [{"alg": "SHA-256", "content": sha256(b"weights").hexdigest()}]
    components = {one["bom-ref"]: one for one in content["components"]}
    assert components.pop("data")["properties"] == [
        {"name": "sha256 of data/features/train/images.npy", "value": "ab" * 32}
    ]
    pins = requirements.read(tmp_path / requirements.FILE)
    assert sorted(components) == sorted(f"{pin.name}=={pin.version}" for pin in pins)
    for pin in pins:
        one = components[f"{pin.name}=={pin.version}"]
        assert one["purl"] == f"pkg:pypi/{pin.name}@{pin.version}"
        (files,) = one["externalReferences"]
        assert sorted(x["content"] for x in files["hashes"]) == sorted(pin.hashes)
    needs = {one["ref"]: one.get("dependsOn", []) for one in content["dependencies"]}
    assert any(ref.startswith("numpy==") for name, refs in needs.items() if "onnxruntime" in name for ref in refs)


def test_equal_packages_have_equal_ones(made, tmp_path):
    assert not {"serialNumber", "timestamp"} & {*json.loads(made), *json.loads(made)["metadata"]}
    sbom.write(tmp_path, model="lstm", dataset="spam", source="data/raw/spam/mails.csv", data=MADE_FROM)
    assert (tmp_path / sbom.FILE).read_text() == made
