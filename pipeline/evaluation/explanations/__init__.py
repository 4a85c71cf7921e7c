"""Which parts of an input spoke for an answer, and the pages that show it."""
