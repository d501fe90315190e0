"""Parses command lines with the real Azure CLI, up to where it would run them; needs no login and no network.

Reads a JSON list of argument lists from standard input; prints a JSON list with an error, or null, for each.
"""

import contextlib
import io
import json
import logging
import os
import sys
import tempfile

os.environ["AZURE_CONFIG_DIR"] = tempfile.mkdtemp()
for name, value in {
    "CORE_COLLECT_TELEMETRY": "no",
    "CORE_NO_COLOR": "yes",
    # An unknown command is an error; the CLI does not look for an extension that may have it.
    "EXTENSION_USE_DYNAMIC_INSTALL": "no",
}.items():
    os.environ["AZURE_" + name] = value

from azure.cli.core import get_default_cli
from azure.cli.core.commands import AzCliCommandInvoker
from azure.cli.core.parser import AzCliCommandParser


class Parsed(BaseException):
    """The command line is valid."""


def parse(arguments):
    """The error, or None."""
    cli = get_default_cli()

    def stop(_context, **_kwargs):
        raise Parsed

    cli.register_event("CommandInvoker.OnPostParseArgs", stop)
    # For a command that it does not know, the CLI looks at the extensions on the web.
    AzCliCommandParser._get_extension_command_tree = lambda _parser: None
    errors = io.StringIO()
    handler = logging.StreamHandler(errors)
    handler.setLevel(logging.WARNING)
    logging.getLogger("cli").addHandler(handler)
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
            status = cli.invoke(arguments)
        return f"exit status {status}: {errors.getvalue()}"
    except Parsed:
        return None
    except SystemExit as stopped:
        # After `--help`, it is 0.
        return (errors.getvalue() or "not a command") if stopped.code else None


json.dump([parse(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
