"""What in an input led the model to its prediction. For images: integrated gradients (Sundararajan, Taly, Yan 2017,
arXiv:1703.01365), which a package has as an exported function. For texts: occlusion, as in a package, of logits.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, UInt8

from pipeline.evaluation.predictor import Predictor, Tree, predict
from pipeline.examples.batch import PAD, Examples
from pipeline.runtime.explanations import occlusion as occlusions
from pipeline.runtime.explanations.occlusion import Occlusion

STEPS = 64  # of the integral


def occlusion(
    predictor: Predictor,
    params: Tree,
    model_state: Tree,
    texts: Sequence[Integer[np.ndarray, " _"]],
    targets: Sequence[int],
) -> list[Occlusion]:
    """What each part of each text adds to the logit of the text's target."""

    def logits(variants: list[Integer[np.ndarray, " _"]]) -> Float[np.ndarray, "n k"]:
        starts = np.cumsum([0, *map(len, variants)]).astype(np.int32)
        tokens = np.append(np.concatenate(variants), PAD)  # one at least, even if no text has any
        examples = Examples({"tokens": tokens}, np.zeros(len(variants), np.int32), starts)
        return predict(predictor, params, model_state, examples)

    return occlusions.occlusion(texts, targets, logits)


@partial(jax.jit, static_argnums=0)
def integrated_gradients(
    predictor: Predictor,
    params: Tree,
    model_state: Tree,
    images: UInt8[Array | np.ndarray, "b h w c"],
    targets: Int[Array | np.ndarray, " b"],
) -> tuple[Float[Array, "b h w"], Float[Array, " b"]]:
    """How much each pixel adds to the logit of the target, measured from a black image; and the completeness error.

    The integral along the path is taken by the midpoint rule over 64 steps. By completeness, all pixels together add
    the difference between the two images' logits. The error is how far their sum is from that, as a logit.
    """
    values = jnp.asarray(images, jnp.float32)

    def logit(x: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        logits = predictor.model(params, model_state)(x)
        return jnp.take_along_axis(logits, jnp.asarray(targets)[:, None], axis=1)[:, 0]

    def step(total: Float[Array, "b h w c"], alpha: Float[Array, ""]) -> tuple[Float[Array, "b h w c"], None]:
        return total + jax.grad(lambda x: logit(x).sum())(values * alpha), None

    alphas = (jnp.arange(STEPS) + 0.5) / STEPS
    total, _ = jax.lax.scan(step, jnp.zeros_like(values), alphas)
    pixels = (values * total / STEPS).sum(-1)  # b h w
    difference = logit(values) - logit(jnp.zeros_like(values))  # b
    return pixels, jnp.abs(pixels.sum((1, 2)) - difference)
