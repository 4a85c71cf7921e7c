"""What people type after `python -m pipeline`, besides the stages."""
