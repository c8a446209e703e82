"""
The listening server in Docker: one container, or two on a network of their own as two shards.

Unlike processes, they can be cut off their network. ``make container`` makes their image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.listening import free_port
from tests.support.listening.asked import Asked
from tests.support.listening.config import write_config
from tests.support.listening.image import DIRECTORY, HTTP_PORT, IMAGE, TCP_PORT
from tests.support.listening.shards import Shards

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network

__all__ = ["ListeningContainer", "TwoShardContainers", "publish"]


def publish(container: DockerContainer, port: int, as_port: int | None = None) -> None:
    """Let only this machine reach *port*, as *as_port* or as a free one."""
    # The type knows no address. Without one, Docker listens on every address of this machine.
    ports: dict[str, Any] = container.ports
    ports[str(port)] = ("127.0.0.1", as_port)


class ListeningContainer(Asked):
    """
    The handle of one running container. Its port and data stay over restarts.

    Use it as a context manager or call `stop`.

    Args:
        directory: The configuration; created if missing.
        host: The name on *network*.
        network: By default, Docker's own.
        shards: Host and native port of each shard; by default, this server is the only one.
        shard: The number of this server's shard, from 1.

    Raises:
        ListeningError: The server did not start; the text holds its output.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "listening",
        network: Network | None = None,
        shards: Sequence[tuple[str, int]] = (),
        shard: int = 1,
    ) -> None:
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        # It would clean up after tests that were killed, in an image that must be pulled.
        testcontainers_config.ryuk_disabled = True
        write_config(
            directory,
            http_port=HTTP_PORT,
            tcp_port=TCP_PORT,
            listen="0.0.0.0",
            shards=shards,
            shard=shard,
        )
        self.host = host
        self.port = free_port()
        self._network = network
        container = DockerContainer(IMAGE, hostname=host)
        publish(container, HTTP_PORT, self.port)
        for name in ("config.xml", "users.xml"):
            container.with_volume_mapping(directory / name, f"{DIRECTORY}/{name}", "ro")
        if network is not None:
            container.with_network(network).with_network_aliases(host)
        self._container = container
        container.start()
        self.wait_until_up()

    def __enter__(self) -> ListeningContainer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<ListeningContainer {self.host} port={self.port}>"

    @property
    def is_running(self) -> bool:
        container = self._docker()
        container.reload()
        return container.status in {"created", "running", "paused"}

    def listens_on(self) -> list[tuple[str, int]]:
        """Return the addresses and ports of this machine that lead to the server."""
        self._docker().reload()
        return [
            (each["HostIp"], int(each["HostPort"]))
            for published in self._docker().ports.values()
            for each in published or ()
        ]

    def said(self) -> str:
        output: bytes = self._docker().logs()
        return output.decode(errors="replace")

    @property
    def exit_code(self) -> int | None:
        container = self._docker()
        container.reload()
        state = container.attrs["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def stop(self) -> None:
        """Remove the container and its data."""
        self._container.stop()

    def kill(self) -> None:
        """``kill -9`` the server. Its data stays."""
        self._docker().kill()
        self._docker().wait()

    def restart_without_waiting(self) -> None:
        """Start again on the same data and port."""
        self._docker().start()

    def pause(self) -> None:
        """Freeze the server: its connections stay open, and nothing answers."""
        self._docker().pause()

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._docker().unpause()

    def cut_off(self) -> None:
        """Take the server off its network: no packet comes or goes, and no connection is closed."""
        self._its_network().disconnect(self._docker())

    def join_again(self) -> None:
        """Give the server its network and its name there back, and return when it answers."""
        self._its_network().connect(self._docker(), aliases=[self.host])
        self.wait_until_up()

    def _docker(self) -> Any:
        return self._container.get_wrapped_container()

    def _its_network(self) -> Any:
        assert self._network is not None
        return self._network._unwrap_network


class TwoShardContainers(Shards[ListeningContainer]):
    """
    Two containers on a network of their own.

    Args:
        directory: The configuration of both.

    Raises:
        ListeningError: A server did not start.
    """

    def __init__(self, directory: Path) -> None:
        from testcontainers.core.network import Network

        self._network = Network()
        self._network.create()
        super().__init__([])
        hosts = ["shard-1", "shard-2"]
        try:
            for number, host in enumerate(hosts, start=1):
                self.servers.append(
                    ListeningContainer(
                        directory / host,
                        host=host,
                        network=self._network,
                        shards=[(each, TCP_PORT) for each in hosts],
                        shard=number,
                    )
                )
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> TwoShardContainers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove both containers and the network."""
        for server in self.servers:
            server.stop()
        self._network.remove()
