"""Other tools on the same problems: one adapter a file, run in an environment of the tool's own.

Nothing here imports anything of this package but what is beside it: an adapter's environment has
the tool and need not have this package. `bench/peer.py` starts it and answers it.
"""
