"""One plug-in of each kind, for the tests: a package that knows nel, and that nel does not know."""
