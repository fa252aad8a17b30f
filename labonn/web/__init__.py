"""The operator's page: ``labonn serve``. Reads the laboratory's folder, asks whoever holds a bench, starts commands.

Nothing here opens a bench: a run is a process of its own, which goes on when the page is gone.
"""
