"""The packages that launchers and sweepers need, and what installs them."""

from __future__ import annotations

from importlib.util import find_spec

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from runner.errors import ConfigError

# The option, the package that it needs, and the extra that brings it.
NEEDS = {
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=slurm_local": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
}

# Options of conf/ that have the name of a package's own, which would be taken for their schema.
OURS = (("launcher", "joblib.yaml"), ("launcher", "ray.yaml"), ("sweeper", "optuna.yaml"))


def prefer_ours() -> None:
    """Let the options of conf/ stand for those of the same name that packages bring."""
    Plugins.instance()  # reads what packages bring, once
    for group, name in OURS:
        ConfigStore.instance().repo["hydra"].get(group, {}).pop(name, None)


def check(config: DictConfig) -> None:
    """Refuse a launcher without its package, before anything starts. Raises ConfigError."""
    for group in ("hydra/launcher", "hydra/sweeper"):
        option = f"{group}={config.hydra.runtime.choices.get(group)}"
        package, extra = NEEDS.get(option, (None, ""))
        if package is not None and not _is_installed(package):
            raise ConfigError(missing(option, extra))


def missing(option: str, extra: str) -> str:
    """What to say of an option whose package is not installed."""
    return f"{option} needs packages that are not installed: `pip install -e '.[{extra}]'`."


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package around it
        return False
