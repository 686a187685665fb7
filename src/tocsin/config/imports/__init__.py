"""Files of other programs -> what Tocsin would take of them, and what it would not."""
