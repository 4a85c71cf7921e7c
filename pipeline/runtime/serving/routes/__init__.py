"""What the server answers, by the kind of request."""
