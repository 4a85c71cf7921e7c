"""sbom.cdx.json: what a package consists of, as CycloneDX 1.6: the model, its data, and the libraries that it needs.

Neither a time nor a serial number is in it, so that equal packages have equal bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyclonedx import model as cyclonedx
from cyclonedx.model import ExternalReferenceType, HashAlgorithm, bom, component
from cyclonedx.model.component import ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from pipeline.packaging import requirements
from pipeline.packaging.requirements import Pin
from pipeline.runtime import strict_json
from pipeline.runtime.hashes import sha256

FILE = "sbom.cdx.json"
# A decorator makes their constructors, which type checkers do not see.
Bom: Any = bom.Bom
Component: Any = component.Component
ExternalReference: Any = cyclonedx.ExternalReference
HashType: Any = cyclonedx.HashType
Property: Any = cyclonedx.Property
XsUri: Any = cyclonedx.XsUri


def write(folder: Path, *, model: str, dataset: str, source: str, data: Mapping[str, str]) -> None:
    """Writes the bill of materials of the package in `folder`, whose weights and requirements are there; `data` has the
    sha256 of each file that the model was trained on.
    """
    materials = Bom()
    materials.metadata.component = root = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=f"{dataset}-{model}",
        bom_ref="model",
        hashes=[_hash(sha256(folder / "model.safetensors"))],
    )
    trained_on = Component(
        type=ComponentType.DATA,
        name=dataset,
        bom_ref="data",
        description=f"read from {source}",
        properties=[Property(name=f"sha256 of {name}", value=value) for name, value in data.items()],
    )
    pins = requirements.read(folder / requirements.FILE)
    libraries = {pin: _library(pin) for pin in pins}
    needs = requirements.needs(pin.name for pin in pins)
    materials.components.update([trained_on, *libraries.values()])
    materials.register_dependency(root, [trained_on, *libraries.values()])
    for pin, library in libraries.items():
        materials.register_dependency(library, [other for p, other in libraries.items() if p.name in needs[pin.name]])
    content: dict[str, Any] = json.loads(JsonV1Dot6(materials).output_as_string())
    del content["serialNumber"], content["metadata"]["timestamp"]
    strict_json.write(folder / FILE, content)


def _library(pin: Pin) -> Any:
    """A library with the sha256 of each of its files, for the different systems, and the condition under which it is
    needed.
    """
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(f"https://pypi.org/project/{pin.name}/{pin.version}/"),
        hashes=map(_hash, pin.hashes),
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=pin.name,
        version=pin.version,
        bom_ref=f"{pin.name}=={pin.version}",
        purl=PackageURL("pypi", name=pin.name, version=pin.version),
        external_references=[files],
        properties=[Property(name="marker", value=pin.marker)] if pin.marker else [],
    )


def _hash(sha256: str) -> Any:
    return HashType(alg=HashAlgorithm.SHA_256, content=sha256)
