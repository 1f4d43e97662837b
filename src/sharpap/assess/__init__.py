"""The grid of attacks and victims: plan, run, results."""

from sharpap.assess.experiment import CLEAN, Experiment
from sharpap.assess.results import Results
from sharpap.assess.rows import Cell
from sharpap.assess.run import run, stress_test

__all__ = ["CLEAN", "Cell", "Experiment", "Results", "run", "stress_test"]
