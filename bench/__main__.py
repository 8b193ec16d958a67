"""`python -m bench`. A process that is forked for a task imports this module again, so it contains no other code."""

if __name__ == "__main__":
    import sys

    from bench.run import main

    sys.exit(main())
