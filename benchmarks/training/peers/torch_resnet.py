"""python torch_resnet.py IMAGES LABELS ROWS WIDTHS BLOCKS MODE: the residual network in PyTorch, channels last.

MODE is eager or compiled. Prints the milliseconds of a training step, the parameters, and the loss of the last steps.
"""

import json
import statistics
import sys
import time
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def conv(width: int, out: int, size: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(width, out, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer


class Block(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(out)
        self.conv1, self.conv2 = conv(width, out, 3, stride), conv(out, out, 3, 1)
        self.project = None if (width, stride) == (out, 1) else conv(width, out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm1(x))
        skip = x if self.project is None else self.project(y)
        return skip + self.conv2(functional.relu(self.norm2(self.conv1(y))))


class ResNet(nn.Module):
    def __init__(self, widths: list[int], blocks: int) -> None:
        super().__init__()
        width, layers = widths[0], []
        self.stem = conv(1, width, 3, 2)
        for stage, out in enumerate(widths):
            for block in range(blocks):
                layers.append(Block(width, out, 2 if stage and not block else 1))
                width = out
        self.blocks, self.norm, self.head = nn.Sequential(*layers), nn.BatchNorm2d(width), nn.Linear(width, 10)
        nn.init.normal_(self.head.weight, std=width**-0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.stem((images.float() / 255 - 0.286) / 0.353))
        return self.head(functional.relu(self.norm(x)).mean((2, 3)))


def main() -> None:
    images, labels, rows = (torch.from_numpy(np.load(path)) for path in sys.argv[1:4])
    widths, blocks, mode = json.loads(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
    images, labels = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last), labels.long()
    torch.manual_seed(0)
    model = ResNet(widths, blocks).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    forward = cast(ResNet, torch.compile(model)) if mode == "compiled" else model

    def step(chosen: torch.Tensor) -> torch.Tensor:
        loss = functional.cross_entropy(forward(images[chosen]), labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    losses = [float(step(chosen)) for chosen in rows]  # compiles, and warms up
    began = time.perf_counter()
    for chosen in rows:
        step(chosen)
    milliseconds = 1e3 * (time.perf_counter() - began) / len(rows)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    last = losses[len(losses) // 2 :]
    print(json.dumps({"figure": milliseconds, "parameters": parameters, "loss": statistics.mean(last)}))


if __name__ == "__main__":
    main()
