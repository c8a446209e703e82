"""
The configuration of one listening server: its ports, users and cluster.

Only the standard library is imported: a container runs this file too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["ADMIN", "CLUSTER", "User", "write_config"]

CLUSTER = "two"
"""The cluster's name, which the macro ``{cluster}`` holds too."""


@dataclass(frozen=True, kw_only=True)
class User:
    """
    A user of ``users.xml``. ``CREATE USER`` is refused (514), so users are known from the start.

    Attributes:
        grants: Statements without ``TO``, such as ``GRANT INSERT ON audit_db.*``.
        settings: The settings of the user's profile, such as ``{"readonly": 1}``.
        databases: The row policies, as the XML inside of ``<databases>``.
    """

    name: str
    password: str
    grants: Sequence[str]
    settings: Mapping[str, object] = field(default_factory=dict)
    databases: str = ""


ADMIN = User(name="audit_admin", password="made-up", grants=["GRANT ALL ON *.* WITH GRANT OPTION"])
"""The user of the tests, who may do everything that such a server can."""

_CONFIG = """\
<clickhouse>
    <http_port>{http_port}</http_port>
    <tcp_port>{tcp_port}</tcp_port>
    <listen_host>{listen}</listen_host>
    <users_config>users.xml</users_config>
    <remote_servers><{cluster}>{shards}</{cluster}></remote_servers>
    <macros><cluster>{cluster}</cluster><shard>{shard}</shard></macros>
    <query_log><database>system</database><table>query_log</table></query_log>
</clickhouse>
"""
_SHARD = """
        <shard>
            <internal_replication>true</internal_replication>
            <replica>
                <host>{host}</host><port>{port}</port><user>{user}</user><password>{password}</password>
            </replica>
        </shard>"""
# The engine itself logs in as `default`, without a password. Nobody else needs this user.
_USERS = """\
<clickhouse>
    <profiles><default/>{profiles}</profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/><networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile><quota>default</quota>
        </default>{users}
    </users>
</clickhouse>
"""
_USER = """
        <{name}>
            <password>{password}</password><networks><ip>::/0</ip></networks>
            <profile>{name}</profile><quota>default</quota>
            <grants>{grants}</grants><databases>{databases}</databases>
        </{name}>"""


def write_config(
    directory: Path,
    *,
    http_port: int,
    tcp_port: int,
    listen: str = "127.0.0.1",
    admin: User = ADMIN,
    users: Iterable[User] = (),
    shards: Sequence[tuple[str, int]] = (),
    shard: int = 1,
) -> None:
    """
    Write ``config.xml`` and ``users.xml`` into *directory*.

    Args:
        listen: The address to listen on.
        admin: The user who may do everything, and as whom shards ask each other.
        users: Further users.
        shards: Host and native port of each shard; by default, this server is the only one.
        shard: The number of this server's shard, from 1.
    """
    everyone = [admin, *users]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.xml").write_text(
        _CONFIG.format(
            http_port=http_port,
            tcp_port=tcp_port,
            listen=listen,
            cluster=CLUSTER,
            shard=shard,
            shards="".join(
                _SHARD.format(
                    host=host, port=port, user=admin.name, password=escape(admin.password)
                )
                for host, port in shards or [("127.0.0.1", tcp_port)]
            ),
        )
    )
    (directory / "users.xml").write_text(
        _USERS.format(
            profiles="".join(f"<{user.name}>{_settings(user)}</{user.name}>" for user in everyone),
            users="".join(
                _USER.format(
                    name=user.name,
                    password=escape(user.password),
                    databases=user.databases,
                    grants="".join(f"<query>{escape(grant)}</query>" for grant in user.grants),
                )
                for user in everyone
            ),
        )
    )


def _settings(user: User) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in user.settings.items())
