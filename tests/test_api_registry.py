"""A registry on a tracking server, over our own server: what holds of all others holds of it."""

from __future__ import annotations

import pytest
from _api_server import ApiServer
from test_registry_stores import *  # noqa: F403

from skledger.stores.rest import RestStore

# Of other kinds of stores: a write of several changes is several requests here.
del test_a_write_is_all_or_nothing  # noqa: F821
del test_eight_processes_register_at_once  # noqa: F821


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with ApiServer(f"sqlite:///{folder}/runs.db", folder) as server:
        yield server


@pytest.fixture
def store(server):
    opened = RestStore(server.uri)
    yield opened
    opened.close()
