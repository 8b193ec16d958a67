"""`python -m bench`. A process that is forked for a task imports this module again, so it has nothing of its own."""

if __name__ == "__main__":
    import sys

    from bench.run import main

    sys.exit(main())
