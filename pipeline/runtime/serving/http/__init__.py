"""From connections to requests and back: the protocol, what every request passes, and the short way to a model."""
