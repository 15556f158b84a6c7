"""Where trials run: Ray here or on a cluster, how many fit, jobs, Kubernetes objects."""
