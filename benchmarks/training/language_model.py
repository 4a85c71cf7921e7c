"""Trains the language model of 124 million parameters on Shakespeare here and in PyTorch, by turns on the same device.

    pip install torch==2.13.0       (in an environment of its own: it is large)
    python -m benchmarks.training.language_model [--batch 4] [--context 512] [--steps 20] [--torch /path/to/its/python]
    python -m benchmarks.training.language_model --batch 32 --context 1024 --steps 30 --precision bfloat16 --card h200

Both train the same network, with as many parameters and operations, with AdamW on the same windows of the same text.
Reported are tokens a second, in the median of blocks of steps after the first steps, the losses and the peak memory:
the process's on a CPU, the device's on a GPU. On a GPU, PyTorch has what nanoGPT gives it: the model and its loss
compiled, a fused optimiser, mixed precision; its sums are not deterministic, the ones here are. With --card, the
model's operations are reported as a share of the card's peak. Each round runs both in new processes, and has a ratio of
its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.commands import plan
from pipeline.config.networks import GPTConfig
from pipeline.config.optimizers import AdamW
from pipeline.training import memory_plan

VOCABULARY = 50_304
WARM_UP = 3  # steps that are not timed
BLOCK = 5  # steps that are timed together: nothing waits for the device in between

TORCH = """
import json, resource, statistics, sys, time
import numpy as np, torch
from torch import nn
from torch.nn import functional as F
batch, context, steps, warm, block = map(int, sys.argv[1:6])
half = sys.argv[7] == "bfloat16"
gpu = torch.cuda.is_available()
device = torch.device("cuda" if gpu else "cpu")
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
tokens = torch.from_numpy(np.load(sys.argv[6])).long().to(device)
torch.manual_seed(0)
L, D, H, I, V = 12, 768, 12, 2048, 50304
E = D // H
speeds = 10000.0 ** (-torch.arange(E // 2) / (E // 2))
angles = torch.arange(context)[:, None] * speeds[None]
cos, sin = angles.cos().to(device), angles.sin().to(device)
if half:
    cos, sin = cos.bfloat16(), sin.bfloat16()
def rotated(x):
    left, right = x.chunk(2, -1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.up, self.down = nn.Linear(D, 2 * I, bias=False), nn.Linear(I, D, bias=False)
    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (y.view(b, t, H, E).transpose(1, 2) for y in self.qkv(F.rms_norm(x, (D,))).chunk(3, -1))
        y = F.scaled_dot_product_attention(rotated(q), rotated(k), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, D))
        gate, y = self.up(F.rms_norm(x, (D,))).chunk(2, -1)
        return x + self.down(F.silu(gate) * y)
class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(V, D)
        nn.init.normal_(self.table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(L))
        for block in self.blocks:
            for layer, scale in ((block.qkv, 1), (block.out, 24**-0.5), (block.up, 1), (block.down, 24**-0.5)):
                nn.init.normal_(layer.weight, std=scale * layer.in_features**-0.5)
    def forward(self, x, targets):
        x = self.table(x)
        for block in self.blocks:
            x = block(x)
        logits = F.linear(F.rms_norm(x, (D,)), self.table.weight)
        return F.cross_entropy(logits.view(-1, V), targets.reshape(-1))
model = GPT().to(device)
parameters = sum(p.numel() for p in model.parameters())
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=gpu)
compiled = torch.compile(model) if gpu else model
losses, times = [], []
for step in range(steps + warm):
    if step >= warm and (step - warm) % block == 0:
        began = time.perf_counter()
    window = tokens[step * batch : (step + 1) * batch]
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        loss = compiled(window[:, :-1], window[:, 1:])
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    losses.append(loss.detach().clone())
    if step >= warm - 1 and (step + 1 - warm) % block == 0:
        losses = [float(loss) for loss in losses]  # waits for the device
        if step >= warm:
            times.append(time.perf_counter() - began)
rate = block * batch * context / statistics.median(times)
most = torch.cuda.max_memory_allocated() / 2**30 if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"parameters": parameters, "rate": rate, "memory": most, "losses": losses}))
"""


def ours(batch: int, context: int, steps: int, data: str, config: GPTConfig) -> dict[str, Any]:
    """The same with this project's training step, a block of steps per dispatch, as the train stage has them."""
    import resource

    import jax
    import numpy as np

    from pipeline.config.preprocessing import CorpusPreprocessing
    from pipeline.examples.batch import Examples
    from pipeline.examples.inputs import Corpus
    from pipeline.tasks.language_modelling import LanguageModelling
    from pipeline.training import allocator, optimizers
    from pipeline.training.trainer import start

    allocator.keep_freed_memory()  # as the train stage does
    tokens = np.load(data)
    settings = CorpusPreprocessing(tokenizer="bpe", vocabulary=VOCABULARY, normalisation="none")
    task = LanguageModelling(inputs=Corpus(settings=settings, vocabulary=VOCABULARY), counts=(1,) * VOCABULARY)
    optimizer = partial(
        optimizers.build, AdamW(name="adamw", b2=0.95), lambda _: 3e-4, weight_decay=0.1, gradient_clip=None
    )
    trainer, state = start(config, task, optimizer, seed=0)
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    text = jax.device_put(Examples({"tokens": tokens.reshape(-1)}, np.zeros(0, np.int32), None))
    places = np.arange((steps + WARM_UP) * batch, dtype=np.int32).reshape(-1, batch) * (context + 1)
    losses: list[float] = []
    times: list[float] = []
    while len(losses) < len(places):
        count = BLOCK if losses else WARM_UP
        rows = np.zeros((BLOCK, batch), np.int32)  # always of one shape, so that it compiles once
        rows[:count] = places[len(losses) : len(losses) + count]
        began = time.perf_counter()
        state, sums = trainer.train_block(state, text, rows, np.int32(count), context)  # type: ignore[arg-type]
        totals = np.asarray(sums)[:count]
        times.append(time.perf_counter() - began)
        losses += (totals[:, 0] / totals[:, 1]).tolist()
    rate = BLOCK * batch * context / statistics.median(times[1:])
    stats = jax.devices()[0].memory_stats()
    peak = stats["peak_bytes_in_use"] / 2**30 if stats else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"parameters": parameters, "rate": rate, "memory": peak, "losses": losses}


def windows(batch: int, context: int, steps: int, path: Path) -> None:
    """Writes windows of the text, chosen at random, as tokens of a BPE fitted to the whole text."""
    import numpy as np

    from pipeline.config.paths import RAW
    from pipeline.encoding import fit_tokenizer
    from pipeline.readers.example import Example
    from pipeline.readers.formats.text import Reader
    from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer, text_parts
    from pipeline.runtime.encoders.specs import CorpusSpec

    spec = CorpusSpec(tokenizer="bpe", vocabulary=VOCABULARY, normalisation="none")
    examples = list(Reader(source=str(RAW / "shakespeare"), format="text", files="*.txt").read())
    text = "".join(str(example.content) for example in examples if isinstance(example, Example))
    row = ByteTokenizer(fit_tokenizer.fit(text_parts(text), spec), spec).encode(text)
    count = len(row) // (context + 1)
    chosen = np.random.default_rng(0).permutation(count)[: batch * (steps + WARM_UP)]
    np.save(path, row[: count * (context + 1)].reshape(count, context + 1)[chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20, help=f"in blocks of {BLOCK}")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--remat", choices=("none", "dots", "full"), default="none", help="here, not in PyTorch")
    parser.add_argument("--card", choices=plan.CARDS, help="report the share of its peak")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--torch", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--ours", metavar="NPY", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < BLOCK or arguments.steps % BLOCK:
        parser.error(f"--steps: must be a multiple of {BLOCK}")
    size = arguments.batch, arguments.context, arguments.steps
    chosen = {"context": arguments.context, "precision": arguments.precision, "remat": arguments.remat}
    config = GPTConfig.model_validate({"variant": "124m", "dropout": 0.0} | chosen)
    if arguments.ours:
        print(json.dumps(ours(*size, arguments.ours, config)))
        return

    import tempfile

    card = 1e12 * getattr(plan.CARDS[arguments.card], arguments.precision) if arguments.card else None
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "windows.npy"
        windows(*size, data)
        options = [f"--{name}={value}" for name, value in zip(("batch", "context", "steps"), size)]
        options += [f"--precision={arguments.precision}", f"--remat={arguments.remat}"]
        mine = [sys.executable, "-m", "benchmarks.training.language_model", *options, f"--ours={data}"]
        theirs = [arguments.torch, "-c", TORCH, *map(str, (*size, WARM_UP, BLOCK)), str(data), arguments.precision]
        for number in range(arguments.rounds):
            rates = []
            for name, command in (("here", mine), ("in PyTorch", theirs)):
                out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                figures = json.loads(out.splitlines()[-1])
                first, last = (statistics.mean(part) for part in (figures["losses"][:3], figures["losses"][-3:]))
                print(
                    f"round {number + 1}, {name}: {figures['parameters']:,} parameters, "
                    f"{figures['rate']:,.0f} tokens/s, peak {figures['memory']:.2f} GiB, "
                    f"loss {first:.3f} to {last:.3f}",
                    flush=True,
                )
                if card:
                    flops = figures["rate"] * (
                        6 * figures["parameters"] + memory_plan.attention_flops(config, arguments.context)
                    )
                    print(f"  {flops / 1e12:,.0f} x 10^12 operations a second, {flops / card:.1%} of the card's")
                rates.append(figures["rate"])
            ratios.append(rates[0] / rates[1])
    print(f"batch {arguments.batch} x {arguments.context}: ratio {statistics.median(ratios):.2f}", end="")
    print(f" ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
