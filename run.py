"""Train or evaluate a model: `python run.py --help`."""

import hydra
from omegaconf import DictConfig

from runner import schema

schema.register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    from runner import job

    return job.run(config)


if __name__ == "__main__":
    main()
