"""`/api/tocsin/v1`: what the dashboard reads and does. The shapes are `shapes.py`, which `ui/src/lib/api.ts` repeats."""
