"""The command line: one file per command, no logic (floor 8).

In: flags as people type them. Out: tables, JSON and files on stdout, progress and errors on stderr, an exit code.

- `main` is the command itself: it lists the commands, loads one only when that is asked for, and turns errors into exit
  codes. A command stands in the file of its name and calls the floor below that answers it.
- `flags` holds the flags that commands share, `emitting` prints a result in the format asked for.
"""
