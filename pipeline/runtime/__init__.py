"""The code that a package contains: it encodes raw inputs and runs the exported function.

A package has a copy of this folder, so its modules import each other relatively, and nothing else of the project.
"""
