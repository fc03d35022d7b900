"""What the HTML report says, one question a file.

    found     what was found: the front, and everything else behind it
    trusted   whether it can be trusted: baselines, rank correlations, measurements, the test
    spent     what it cost, and what pruning, rejection and reuse saved
    course    how it went: hypervolume, rungs, curves, preferences, importances
    trials    every trial in a table
    details   everything about each trial, for the browser to show and to download

Each has `section(seen) -> what its template shows`; `seen` is the study, read once.
"""
