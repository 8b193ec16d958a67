"""The main job: a file for each task of a run, in the order of the flow, and what these tasks share."""
