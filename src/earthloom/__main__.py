"""`python -m earthloom` is the command `earthloom`."""

from earthloom.cli.main import app

app()
