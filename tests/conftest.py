import multiprocessing
import os

import pytest
import torch

torch.set_num_threads(1)  # sums over another number of threads round differently


@pytest.fixture(scope="session")
def forkserver() -> multiprocessing.context.ForkServerContext:
    """Starts processes in no time: they have all modules already."""
    path = [os.path.dirname(__file__), os.getcwd(), os.environ.get("PYTHONPATH", "")]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "test_faults", "test_recorder"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path))
        first = context.Process(target=os.getpid)
        first.start()  # and with it the server, which keeps the path
        first.join()
    return context
