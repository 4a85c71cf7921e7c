"""The same work by other software, as its users would write it. They run in an environment of their own: see
requirements.txt here."""
