"""Settings for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# Developers search anew with every run; CI judges a submission by examples that are the same each time.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
