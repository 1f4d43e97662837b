"""The grid of attacks and victims: plan, run, results."""

from sharpap.assess.experiment import CLEAN, Experiment
from sharpap.assess.results import Cell, Results
from sharpap.assess.run import run, stress_test

__all__ = ["CLEAN", "Cell", "Experiment", "Results", "run", "stress_test"]
