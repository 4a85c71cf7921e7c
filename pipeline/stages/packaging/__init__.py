"""What the package stage makes: the exported function, its configuration, samples and the model card."""
