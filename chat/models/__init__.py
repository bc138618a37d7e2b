"""From a model's name to its files, and from those to weights in memory."""

import logging

# As it is imported, it warns of a package that is not needed here.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
