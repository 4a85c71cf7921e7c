"""What a package is made of: the exported function, its configuration, samples and the model card."""
