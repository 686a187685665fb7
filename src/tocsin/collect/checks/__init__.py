"""One file, one check type. The files do not know each other."""
