"""Train or evaluate a model: `python run.py --help`."""

import logging
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from runner.config import checks, command_line, ownership, quiet, recipe, schema
from runner.config.friendly import friendly
from runner.results import sweep
from runner.training import compiled

schema.register()
log = logging.getLogger("run")


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    """Run the job that Hydra composed and return its objective."""
    hydra_config = HydraConfig.get()
    config, warnings = checks.settle(config, hydra_config.overrides.task)
    directory = Path(hydra_config.runtime.output_dir)
    with ownership.claimed(config, directory):
        if ownership.is_complete(config, directory):
            from runner.reporting import outcome

            return outcome.of_complete(config, directory)
        if config.mode == "train" and config.resume is None:
            choices = hydra_config.runtime.choices
            log.info(recipe.in_words(config, hydra_config.overrides.task, choices))
        for warning in warnings:
            log.warning(warning)
        compiled.keep(config.compilation_cache)
        quiet.figures_to_files()
        with quiet.native_notices(), quiet.no_collection():
            from runner import job  # TensorFlow, only once the configuration is known to be good

        return job.run(config, directory)


if __name__ == "__main__":
    with friendly(), sweep.with_table():
        sys.argv[1:] = command_line.complete(sys.argv[1:])
        main()
