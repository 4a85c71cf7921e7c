"""Speed, as ratios measured in one run: python -m benchmarks.NAME"""

from pipeline.runtime import environment

environment.set_up()
