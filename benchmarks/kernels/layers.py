"""How long a training step of the language model takes to trace and compile, with 12 layers and with 48.

    python -m benchmarks.kernels.layers [--rounds 3]

In turns, each in a fresh process without the compiler's cache; the ratio is that of the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys

CODE = """
import sys, time
from functools import partial
import numpy as np
from pipeline.config.networks import GPT_SIZES, GPTConfig, GPTSize
from pipeline.config.optimizers import AdamW
from pipeline.config.preprocessing import CorpusPreprocessing
from pipeline.examples.batch import Examples
from pipeline.examples.inputs import Corpus
from pipeline.tasks.language_modelling import LanguageModelling
from pipeline.training import optimizers
from pipeline.training.trainer import start
GPT_SIZES["124m"] = GPTSize(int(sys.argv[1]), 128, 4, 4, 344)
settings = CorpusPreprocessing(tokenizer="bpe", vocabulary=50_304, normalisation="none")
task = LanguageModelling(inputs=Corpus(settings=settings, vocabulary=50_304), counts=(1,) * 50_304)
config = GPTConfig(variant="124m", context=512, dropout=0.0, precision="float32", remat=sys.argv[2])
optimizer = partial(optimizers.build, AdamW(name="adamw"), lambda _: 3e-4, weight_decay=0.1, gradient_clip=1.0)
trainer, state = start(config, task, optimizer, seed=0)
text = Examples({"tokens": np.zeros(5_000, np.int32)}, np.zeros(0, np.int32), None)
began = time.perf_counter()
trainer.train_block.lower(trainer, state, text, np.zeros((1, 4), np.int32), np.int32(1), 512).compile()
print(time.perf_counter() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    for remat in ("none", "full"):
        seconds: dict[int, list[float]] = {12: [], 48: []}
        for _ in range(rounds):
            for layers, times in seconds.items():
                command = [sys.executable, "-c", CODE, str(layers), remat]
                times.append(float(subprocess.check_output(command, env=environment)))
        few, many = (statistics.median(times) for times in seconds.values())
        print(f"remat {remat}: 12 layers {few:.2f} s, 48 layers {many:.2f} s, ratio {many / few:.2f}", flush=True)


if __name__ == "__main__":
    main()
