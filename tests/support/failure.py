# SPDX-License-Identifier: Apache-2.0
"""How a test fails, and how long it waits before it does."""

WAIT_S = 60  # how long anything may take before a test gives up; no test asserts a time


class Failure(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Failure(what)
