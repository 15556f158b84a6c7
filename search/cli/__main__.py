"""`python -m search.cli`: the command line, where the console script is not on the path."""

from search.cli.app import main

if __name__ == "__main__":
    main()
