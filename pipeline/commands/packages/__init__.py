"""Commands on a finished package as a whole."""
