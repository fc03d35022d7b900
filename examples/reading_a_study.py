"""A study read without optuna_nas: Optuna, and the JSON that every trial leaves.

python examples/reading_a_study.py first_search.db first_search
"""

import json
import sys

import optuna

if __name__ == "__main__":
    database, name = sys.argv[1:]
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{database}")
    print("begun by", json.dumps(study.user_attrs["search"]["space"]))
    for trial in study.best_trials:
        left = trial.user_attrs
        print(f"trial {trial.number}: {left['network']}, {left['ended']}")
        for objective, found in left["measurements"].items():
            print(f"  {objective}: {found['value']:g} {found['unit']} (spread {found['spread']})")
        curve = {
            int(key.removeprefix("nas:step:")): values[0]
            for key, values in trial.system_attrs.items()
            if key.startswith("nas:step:")
        }
        print("  learning curve:", [round(curve[epoch], 3) for epoch in sorted(curve)])
        nodes = [f"{node['kind']} of {node['inputs']}" for node in left["architecture"]["nodes"]]
        print("  graph:", "; ".join(nodes))
        print("  spent:", left["spent"], "by seed", left["provenance"]["seed"])
        print("  digest:", left["digest"])
