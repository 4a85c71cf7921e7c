"""Whether a package's files are those that were written, and by whom: checked before anything in the folder is used."""
