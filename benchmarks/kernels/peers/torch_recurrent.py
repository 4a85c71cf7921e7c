"""python torch_recurrent.py NPZ NAME SECONDS: a recurrent layer of PyTorch forward and backward.

NAME is lstm or gru. The file holds the inputs, the gradient of the outputs, and the weights. Prints the milliseconds
of the fastest step, and the sizes of the outputs and of the gradient of the inputs.
"""

import json
import sys
import time

import numpy as np
import torch


def main() -> None:
    given = {name: torch.from_numpy(array) for name, array in np.load(sys.argv[1]).items()}
    x, g, h = given["x"].requires_grad_(), given["g"], given["recurrent"].shape[0]
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[sys.argv[2]](h, h, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(given["kernel"].T)
        layer.weight_hh_l0.copy_(given["recurrent"].T)
        layer.bias_ih_l0.copy_(given["bias"])
        layer.bias_hh_l0.zero_()

    def step() -> tuple[torch.Tensor, torch.Tensor]:
        y = layer(x)[0]
        y.backward(g)
        gradient, x.grad = x.grad, None
        layer.zero_grad()
        return y, gradient

    for _ in range(3):
        y, gradient = step()
    times = []
    while len(times) < 3 or sum(times) < float(sys.argv[3]):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    sizes = {"output": float(y.norm()), "gradient": float(gradient.norm())}
    print(json.dumps({"figure": 1e3 * min(times), **sizes}))


if __name__ == "__main__":
    main()
