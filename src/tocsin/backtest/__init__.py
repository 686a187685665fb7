"""What rules would have done: they are replayed over stored history by the code that runs them live."""
