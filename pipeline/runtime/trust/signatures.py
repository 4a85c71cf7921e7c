"""A signature by a key, in the file PACKAGE.sig beside the folder: who made the package, and that nothing was changed,
added or left out since.

The format is OpenSSF Model Signing's: `model_signing verify key` reads it as well. Its library and `pyopenssl` are
needed only where a signature is made or required.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from . import manifest

if TYPE_CHECKING:
    from types import ModuleType

LIBRARIES = "pip install model-signing pyopenssl"
MISMATCH = "Signature mismatch: "
NEW_PAIR = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout -out pub.pem"


def file_of(folder: Path) -> Path:
    """Where the signature of a package lies: beside its folder, whose content it must not change."""
    resolved = folder.resolve()
    return resolved.with_name(f"{resolved.name}.sig")


def sign(folder: Path, key: Path) -> Path:
    """Writes the signature of a package, which is whole, by a private key; returns its path. Raises UserError."""
    manifest.verify(folder)
    _refuse_compiled(folder)
    signing = _library("signing", folder)
    try:
        signer = signing.Config().set_hashing_config(_all_files(folder)).use_elliptic_key_signer(private_key=key)
    except Exception as error:  # whatever the parser of keys runs into
        raise UserError(_unusable(key, "private key that is not encrypted", error)) from error
    path = file_of(folder)
    signer.sign(folder.resolve(), path)
    return path


def require(folder: Path, key: Path | None) -> None:
    """Raises UserError unless the package is as whoever has the private key of `key`, a public one, signed it. Without
    a key nothing is required.
    """
    if key is None:
        return
    manifest.read(folder)  # it is a package
    _refuse_compiled(folder)  # and no link leads out of it, no device is read without end
    path = file_of(folder)
    if not path.is_file():
        raise UserError(
            f"{folder}: no signature: {path} is not there: put it beside the folder, with the folder's name"
        )
    verifying = _library("verifying", folder)
    try:
        verifier = verifying.Config().set_hashing_config(_all_files(folder)).use_elliptic_key_verifier(public_key=key)
    except Exception as error:  # whatever the parser of keys runs into
        raise UserError(_unusable(key, "public key", error)) from error
    try:
        verifier.verify(folder.resolve(), path)
    except Exception as error:  # from a JSON that is none to a forged signature, each library below has its own
        text = str(error)
        if text.startswith(MISMATCH):
            why = f"is not as it was signed: {text.removeprefix(MISMATCH)}: do not use it"
        elif text.startswith("Key mismatch"):
            why = f"is signed by another key than {key}: do not use it unless you trust who signed it"
        else:
            why = f"the signature {path} is not valid ({text or type(error).__name__}): do not use the package"
        raise UserError(f"{folder}: {why}") from error


def _refuse_compiled(folder: Path) -> None:
    """Python runs compiled code without a look at the source that is signed."""
    names = manifest.sizes(folder, compiled=True)
    if found := next((name for name in names if "__pycache__" in name.split("/")), None):
        raise UserError(
            f"{folder}: {found} is compiled code, which no signature covers: "
            f"`find {folder} -name __pycache__ -exec rm -r {{}} +`, then run the same command again"
        )


def _all_files(folder: Path) -> Any:
    """The library would leave out those that git has a use for."""
    return _library("hashing", folder).Config().set_ignored_paths(paths=(), ignore_git_paths=False)


def _library(name: str, folder: Path) -> "ModuleType | Any":
    from importlib import import_module

    try:
        return import_module(f"model_signing.{name}")
    except ImportError as error:
        raise UserError(f"{folder}: signatures need a library that is not here ({error}): {LIBRARIES}") from error


def _unusable(key: Path, what: str, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{key}: {(error.strerror or str(error)).lower()}: name a {what}, a file in PEM format"
    return f"{key}: is not a {what} of an elliptic curve, in PEM format ({error}); a new pair: {NEW_PAIR}"
