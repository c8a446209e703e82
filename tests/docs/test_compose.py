"""The compose files parse, and agree with each other and with ``sql/cluster/``."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.support.containers import IMAGE
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.once

COMPOSE = EXAMPLES / "compose"


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / name).read_text())["services"]
    return found


@pytest.mark.parametrize("name", ["one-node.yaml", "cluster.yaml"])
def test_a_server_keeps_its_rows_and_is_reached_from_this_machine_alone(name: str) -> None:
    found = services(name).values()

    assert {IMAGE} == {each["image"] for each in found}
    assert ["127.0.0.1:8123:8123"] == [port for each in found for port in each.get("ports", ())]
    assert all(any(":/var/lib/clickhouse" in v for v in each["volumes"]) for each in found)


def test_every_file_that_a_server_mounts_is_there() -> None:
    mounted = [
        volume.split(":")[0]
        for each in services("cluster.yaml").values()
        for volume in each["volumes"]
        if volume.startswith("./")
    ]

    assert 3 == len(mounted)
    assert [] == [path for path in mounted if not (COMPOSE / path).is_file()]


def test_the_cluster_has_the_macros_and_shards_that_the_tables_need() -> None:
    config = ElementTree.parse(COMPOSE / "config.d" / "cluster.xml").getroot()
    macros = config.find("macros")
    assert macros is not None
    shards = config.findall("remote_servers/audit/shard")

    assert ["cluster", "shard", "replica"] == [each.tag for each in macros]
    assert "audit" == macros.findtext("cluster")
    assert ["true", "true"] == [each.findtext("internal_replication") for each in shards]
    assert list(services("cluster.yaml")) == [each.findtext("replica/host") for each in shards]


def test_every_server_sets_what_the_configuration_takes_from_its_environment() -> None:
    config = ElementTree.parse(COMPOSE / "config.d" / "cluster.xml").getroot()
    wanted = {each.get("from_env") for each in config.iter()} - {None}

    assert {"CLUSTER_SECRET", "SHARD", "REPLICA"} == wanted
    assert [] == [
        name
        for name, each in services("cluster.yaml").items()
        if not wanted <= set(each["environment"])
    ]


def test_keeper_listens_where_the_servers_look() -> None:
    cluster, keeper = (
        ElementTree.parse(COMPOSE / "config.d" / name).getroot()
        for name in ("cluster.xml", "keeper.xml")
    )

    assert cluster.findtext("zookeeper/node/port") == keeper.findtext("keeper_server/tcp_port")
