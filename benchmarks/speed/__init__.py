"""Time and memory of SharpAP beside its rivals, one command: `python -m benchmarks.speed`; see docs/performance.md."""
