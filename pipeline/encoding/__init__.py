"""Tables of examples -> arrays on disk; whatever is fitted is fitted on the training split alone."""
