"""Train or evaluate a model: `python run.py --help`."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from runner import one_run, sweep_job
from runner.config import command_line, completion, schema, sweep_end
from runner.config.friendly import friendly
from runner.results import sweep

schema.register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    """Run the job that Hydra composed and return its objective."""
    in_a_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    return sweep_job.run(config) if in_a_sweep else one_run.run(config)


if __name__ == "__main__":
    with friendly(), sweep_end.stoppable(), sweep.with_table(), sweep_end.waited():
        if {"-sc", "--shell-completion"} & set(sys.argv):
            completion.improve()
        sys.argv[1:] = command_line.complete(sys.argv[1:])
        main()
