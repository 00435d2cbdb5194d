"""`python -m ser`, and the program `ser`."""

import os
import sys

from ser.inference.memory import tune_malloc


def main() -> None:
    """Run the command line; Ctrl-C ends it with code 130, also while its libraries are being imported."""
    # Read when NumPy and TensorFlow are imported: one core answers faster than several that wait on each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its errors are exceptions, too
    tune_malloc()
    try:
        from ser.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("ser: stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
