"""`python -m ser`."""

from ser.cli import main

main()
