"""`python -m ser`, and the program `ser`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with code 130, also while its libraries are being read."""
    try:
        from ser.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("ser: stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
