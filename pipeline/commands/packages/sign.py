"""Signs a package by a private key, so that others can require it:

    python -m pipeline sign package --key key.pem
    python -m pipeline predict package shirt.png --require-key pub.pem

The signature is a file beside the folder, package.sig: it goes with the folder wherever that is copied.
"""

import argparse
import os
from pathlib import Path

from pipeline.runtime.trust import signatures


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline sign", description="Signs a package: writes PACKAGE.sig beside its folder."
    )
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument(
        "--key", type=Path, required=True, help=f"private key in PEM format; a new pair: {signatures.NEW_PAIR}"
    )
    arguments = parser.parse_args()
    path = signatures.sign(arguments.package, arguments.key)
    print(f"{os.path.relpath(path)}: the signature of {arguments.package}; copy it with the folder")
