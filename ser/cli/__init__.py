"""The command line: one module a command, their options and their output."""
