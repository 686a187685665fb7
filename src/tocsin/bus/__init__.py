"""How Tocsin's processes talk: HTTP over the core's Unix socket. The server takes named handlers, so it knows no stage."""
