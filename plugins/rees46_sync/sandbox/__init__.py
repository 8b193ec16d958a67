"""A strict local REES46 with faults, for tests, the demo and a first try."""
