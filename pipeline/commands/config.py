"""The values in effect of the dataset and the model that params.yaml chooses, with all defaults.

    python -m pipeline config [--schema | --page]

Their keys are what `-S` takes; one that params.yaml lacks needs a plus: -S +models.cnn.training.weight_decay=0.01.
"""

import argparse
import json
import sys
from typing import Any

from ruamel.yaml import YAML

from pipeline.commands import schema
from pipeline.stages import check


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline config", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of params.yaml, for editors")
    parser.add_argument("--page", action="store_true", help="print docs/parameters.md, the tables of all settings")
    arguments = parser.parse_args()
    if arguments.schema:
        print(json.dumps(schema.schema(), indent=1, ensure_ascii=False))
    elif arguments.page:
        print(schema.page(), end="")
    else:
        YAML().dump(in_effect(), sys.stdout)


def in_effect() -> dict[str, Any]:
    """params.yaml as far as it is in use, with every default. Raises UserError where it is wrong."""
    file, dataset, model = check.params()
    network = model.network.model_dump(mode="json", exclude={"name"})
    return {
        "dataset": file.dataset,
        "model": file.model,
        "seed": file.seed,
        "evaluation": file.evaluation.model_dump(mode="json"),
        "datasets": {
            file.dataset: {
                "task": dataset.settings.model_dump(mode="json"),
                "data": dataset.data.model_dump(mode="json"),
                "preprocessing": dataset.preprocessing.model_dump(mode="json"),
            }
        },
        "models": {file.model: {"network": network, "training": model.training.model_dump(mode="json")}},
    }
