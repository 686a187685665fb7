"""The words of Tocsin: frozen values that travel between files. No I/O, no clock, no framework."""
