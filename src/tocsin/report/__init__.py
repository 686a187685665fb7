"""Reports: how a week or month went, as a pure function of what is stored."""
