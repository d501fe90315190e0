"""Prints what a parser of Bicep reads in the file that is named, as JSON."""

import json
import pathlib
import sys

from pycep import BicepParser

json.dump(BicepParser().parse(text=pathlib.Path(sys.argv[1]).read_text()), sys.stdout)
