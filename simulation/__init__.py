"""The simulation that proves Duly: seeded worlds of crashes, pauses and lost commits.

It runs Duly's own code (scheduler, worker and store) and is a part of the repository, not of the
package. `python -m simulation --help` lists its options; `docs/guides/simulation.md` explains it.
"""
