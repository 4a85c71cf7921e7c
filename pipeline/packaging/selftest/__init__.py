"""A finished package is tried as its users will run it: away from the repository, with its own libraries alone."""
