# SPDX-License-Identifier: MIT
"""The driver of the MongoDB store as a Python object, and results as TAP."""
import subprocess
import sys
import traceback

OK, CONFIG, CONFLICT, TIMEOUT, UNAVAILABLE, INDOUBT, TOO_LARGE = 0, -2, -6, -8, -11, -12, -13


class Driver:
    """One process with one session."""

    def __init__(self, program, uri, database, timeout_ms=4000, body="bytes"):
        self.process = subprocess.Popen(
            [program, uri, database, str(timeout_ms), body], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.message = ""

    def begin(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def end(self):
        """(status, result) of what was begun."""
        status, result, self.message = self.process.stdout.readline().rstrip("\n").split(" ", 2)
        return int(status), int(result)

    def __call__(self, *words):
        self.begin(*words)
        return self.end()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait(60) != 0:
            raise AssertionError(f"the driver ended with {self.process.returncode}")


def same(got, wanted, why=""):
    if got != wanted:
        raise AssertionError(f"{got} instead of {wanted}: {why}")


def run(tests):
    """Runs the functions as TAP; their first line of documentation is what they show."""
    failed = 0
    for number, test in enumerate(tests, 1):
        try:
            test()
            verdict = "ok"
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            verdict, failed = "not ok", 1
        print(f"{verdict} {number} - {test.__doc__.splitlines()[0].rstrip('.')}", flush=True)
    print(f"1..{len(tests)}")
    sys.exit(failed)
