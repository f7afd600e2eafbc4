"""`python -m migrator` is `keylift`."""

from migrator.cli import main

main()
