"""python torch_gpt.py NPY BATCH CONTEXT STEPS WARM_UP BLOCK PRECISION MODE: the language model in PyTorch.

MODE is eager or compiled. On a GPU it has what nanoGPT gives it: the model and its loss compiled, a fused optimiser,
mixed precision. Prints tokens a second, in the median of blocks of steps after the warm-up, the parameters, the peak
memory in GiB, and the mean losses of the first and of the last steps.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

LAYERS, WIDTH, HEADS, INNER, VOCABULARY = 12, 768, 12, 2048, 50_304
SIZE = WIDTH // HEADS  # of a head

Rotate = Callable[[torch.Tensor], torch.Tensor]


def rotation(context: int, device: torch.device, dtype: torch.dtype) -> Rotate:
    speeds = 10000.0 ** (-torch.arange(SIZE // 2) / (SIZE // 2))
    angles = torch.arange(context)[:, None] * speeds[None]
    cos, sin = angles.cos().to(device, dtype), angles.sin().to(device, dtype)

    def rotated(x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, -1)
        return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)

    return rotated


def linear(width: int, out: int, *, scale: float = 1.0) -> nn.Linear:
    layer = nn.Linear(width, out, bias=False)
    nn.init.normal_(layer.weight, std=scale * width**-0.5)
    return layer


class Block(nn.Module):
    def __init__(self, rotated: Rotate) -> None:
        super().__init__()
        self.rotated = rotated
        small = (2 * LAYERS) ** -0.5
        self.qkv, self.out = linear(WIDTH, 3 * WIDTH), linear(WIDTH, WIDTH, scale=small)
        self.up, self.down = linear(WIDTH, 2 * INNER), linear(INNER, WIDTH, scale=small)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        parts = self.qkv(functional.rms_norm(x, (WIDTH,))).chunk(3, -1)
        q, k, v = (part.view(b, t, HEADS, SIZE).transpose(1, 2) for part in parts)
        y = functional.scaled_dot_product_attention(self.rotated(q), self.rotated(k), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, WIDTH))
        gate, y = self.up(functional.rms_norm(x, (WIDTH,))).chunk(2, -1)
        return x + self.down(functional.silu(gate) * y)


class GPT(nn.Module):
    def __init__(self, rotated: Rotate) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, WIDTH)
        nn.init.normal_(self.table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(rotated) for _ in range(LAYERS))

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(functional.rms_norm(x, (WIDTH,)), self.table.weight)
        return functional.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1))


def main() -> None:
    batch, context, steps, warm_up, block = map(int, sys.argv[2:7])
    half, compiled = sys.argv[7] == "bfloat16", sys.argv[8] == "compiled"
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    tokens = torch.from_numpy(np.load(sys.argv[1])).long().to(device)
    torch.manual_seed(0)
    model = GPT(rotation(context, device, torch.bfloat16 if half else torch.float32)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if compiled else model
    losses, times, began = [], [], 0.0
    for step in range(steps + warm_up):
        if step >= warm_up and (step - warm_up) % block == 0:
            began = time.perf_counter()
        window = tokens[step * batch : (step + 1) * batch]
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = forward(window[:, :-1], window[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().clone())
        if step >= warm_up - 1 and (step + 1 - warm_up) % block == 0:
            losses = [float(loss) for loss in losses]  # waits for the device
            if step >= warm_up:
                times.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() if gpu else 2**10 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "figure": block * batch * context / statistics.median(times),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "memory": peak / 2**30,
        "first loss": statistics.mean(losses[:3]),
        "last loss": statistics.mean(losses[-3:]),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
