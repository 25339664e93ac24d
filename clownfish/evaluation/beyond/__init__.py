"""Beyond the paper: what else was tried, each measured beside the paper's choice on the same streams."""
