"""`python -m archpress` is the command `archpress`."""

from archpress.cli import main

main()
