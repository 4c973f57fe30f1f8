"""The command line: ``python -m trainer COMMAND``."""

import sys

from trainer import commands, making, racing, repeating
from zoo.command import main

if __name__ == "__main__":
    sys.exit(
        main("python -m trainer", (*making.COMMANDS, *racing.COMMANDS, *commands.COMMANDS, *repeating.COMMANDS))
    )
