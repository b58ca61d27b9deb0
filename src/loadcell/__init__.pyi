"""What type checkers see of the package: `__init__.py` loads these when they are asked for, and no room sees them."""

from loadcell.errors import LoadcellError as LoadcellError
from loadcell.protocol.callable import Piece as Piece
from loadcell.python import run as run
from loadcell.report.notebook import ShownResult as ShownResult

__version__: str
