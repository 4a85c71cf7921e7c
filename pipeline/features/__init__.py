"""Tables of examples -> arrays: one file a kind of content. What is fitted is fitted on the training split only."""
