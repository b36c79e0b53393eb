"""What to change where ``sbatch`` refuses a job, by its words."""

from __future__ import annotations

_HINTS = {
    "violates": "a limit of your account or its quality of service; sacctmgr show qos lists them",
    "account": "see cluster.account; sacctmgr show associations user=$USER lists yours",
    "partition": "see node_pools.*.partition; sinfo lists the partitions",
    "qos": "see cluster.qos; sacctmgr show qos lists them and their limits",
    "array": "see cluster.shards; scontrol show config has the cluster's MaxArraySize",
    "time limit": "see cluster.walltime; sinfo lists what each partition gives",
    "reservation": "see cluster.reservation; scontrol show reservation lists them",
    "gres": "see node_pools.*.gres and gpus_per_node; sinfo -o '%P %G' lists what nodes have",
    "feature": "see --constraint in cluster.sbatch_extra; sinfo -o '%P %f' lists what nodes have",
    "node configuration": "no node has what node_pools.* asks for: gres, gpus_per_node, "
    "ntasks_per_node, memory; sinfo -o '%P %c %m %G' lists what nodes have",
    "node count": "see node_pools.*.nodes",
}
"""By a word that is in what sbatch says; the first that is there counts."""


def refused(said: str) -> str:
    """What to change where ``sbatch`` refuses a job, by what it says."""
    text = said.lower()
    found = (hint for word, hint in _HINTS.items() if word in text)
    return next(found, "nothing of this job was submitted")
