"""The command line: one file per command, no logic (floor 8).

In: flags as people type them. Out: tables, JSON and files on stdout, progress and errors on stderr, an exit code.

- `main` is the command itself: it loads a command only when that is asked for, and turns errors into exit codes.
- `flags` holds the flags that commands share, `emitting` prints a result in the format asked for.
- `recommend`, `predict`, `explore`, `catalogue` call the function of their name.
"""
