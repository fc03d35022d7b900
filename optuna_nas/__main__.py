"""`python -m optuna_nas`: the command line, where the script `optuna-nas` is not on the path."""

from optuna_nas.cli import main

if __name__ == "__main__":
    main(prog_name="optuna-nas")
