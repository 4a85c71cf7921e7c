"""A trained network as an ONNX model: for each network a graph, written by hand with ONNX's own operators.

A converter from JAX would spare these files; of those tried, none converts the recurrent networks, the transformer or
the linear model with a batch and a length of any size. A network without a graph here is packaged without model.onnx.
"""
