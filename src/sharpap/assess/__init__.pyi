from .experiment import Experiment as Experiment
from .results import Results as Results
from .rows import Cell as Cell
from .run import run as run
from .run import stress_test as stress_test
from .tables.summary import CLEAN as CLEAN
