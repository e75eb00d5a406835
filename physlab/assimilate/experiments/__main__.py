"""``python -m physlab.assimilate.experiments NAME ...``: run experiments, print what came beside what was expected."""

import sys

from physlab.assimilate.experiments import NAMES, table
from physlab.errors import PhysLabError

if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        try:
            for line in table(name):
                print(line, flush=True)
        except PhysLabError as error:
            sys.exit(str(error))
