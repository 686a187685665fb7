"""One file from check to person: YAML -> the typed values that each stage gets.

Errors say file, line, field path and what was expected.
"""
