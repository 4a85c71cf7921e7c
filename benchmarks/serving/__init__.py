"""A package in use: its engines, the server, and the server beside others."""
