"""The five stages, and what is around each: the runner, the parent watch, input hashes."""
