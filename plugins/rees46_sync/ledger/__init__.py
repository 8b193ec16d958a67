"""What REES46 has accepted, and the record of every run."""
