"""What surrounds a stage in its process: the watch on whoever started it, and what was compiled before."""
