"""`python -m optuna_nas.cli`: the command line."""

from optuna_nas.cli import main

if __name__ == "__main__":
    main(prog_name="optuna-nas")
