from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from bot.wiring import multiply_on_one_thread


def test_numpy_multiplies_on_one_thread() -> None:
    assert np.ones((4, 4)) @ np.ones(4) is not None  # its library is loaded
    with threadpool_limits(limits=2, user_api="blas"):
        multiply_on_one_thread()
        found = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
    assert found
    assert set(found) == {1}
