"""Great Expectations: which rows are valid, and the Data Docs about them."""
