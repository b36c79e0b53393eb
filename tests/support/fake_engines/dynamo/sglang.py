"""A worker: says that it is there, by a file, and waits."""

import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    words = sys.argv[1:]
    print("worker:", *words, "on GPUs", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    flag = "--disaggregation-mode"
    role = words[words.index(flag) + 1] if flag in words else "backend"
    time.sleep(float(os.environ.get("FAKE_WORKER_SLOW", "0")))
    (Path(os.environ["FAKE_DYNAMO"]) / f"{role}-{os.getpid()}").touch()
    time.sleep(600)
