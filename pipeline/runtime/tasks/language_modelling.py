"""The next token of a text: runtime/generator.py runs such a model. Here nothing is to be loaded."""
