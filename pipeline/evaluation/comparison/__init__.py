"""Whether two models, or two settings, differ by more than chance."""
