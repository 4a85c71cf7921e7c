"""The commands of a package, each a module that is imported only when it runs."""
