"""A Python that finds this folder in PYTHONPATH has its clock moved, as have the ones that it starts."""

import os
import time

import time_machine

time_machine.travel(time.time() + float(os.environ["CLOCK_MOVED_BY_S"])).start()
