"""From a command line to the configuration that runs, checked before anything heavy starts."""
