"""The client of REES46's order-status API. It knows no ledger."""
