"""One file per channel. Importing `tocsin.notify.channel.registry()` loads them all."""
