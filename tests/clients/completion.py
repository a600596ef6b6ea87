"""Completes names in psql, as one does with the tabulator. Arguments: how to connect."""

import os
import pty
import select
import sys
import time

child, terminal = pty.fork()
if child == 0:
    os.environ.update(TERM="xterm", PAGER="cat", LC_ALL="C")
    os.execvp("psql", ["psql", "-X", sys.argv[1]])


def until(expected, seconds=30):
    seen, end = "", time.monotonic() + seconds
    while expected not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"psql never showed {expected!r}: {seen!r}"
        seen += os.read(terminal, 4096).decode()
    return seen


def types(text, expected):
    os.write(terminal, text.encode())
    return until(expected)


until("=> ")
types("SELECT name FROM heal\t", "health.")
types("pat\t", "patients")
types("WHERE n\t\t", "nhs_number")
types("\x15\\d uni\t", "unified.")
types("\x15SET wayleave.pur", "wayleave.pur")
types("\x15\\q\n", "\\q")
os.waitpid(child, 0)
