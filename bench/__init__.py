"""The benchmark: ours and the peers over the same orders, in the same run. `make bench`."""
