"""One file a format: bytes on disk -> examples."""
