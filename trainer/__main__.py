"""The command line: ``python -m trainer COMMAND``."""

import sys

from trainer import commands, making, race_commands, repeating
from zoo.command import main

if __name__ == "__main__":
    sys.exit(
        main("python -m trainer", (*making.COMMANDS, *race_commands.COMMANDS, *commands.COMMANDS, *repeating.COMMANDS))
    )
