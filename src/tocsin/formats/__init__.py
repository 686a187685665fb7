"""Bytes to model values and back. Pure; parsers return (value, errors) where one bad line must not lose the rest."""
