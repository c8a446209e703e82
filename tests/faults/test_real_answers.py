"""
Connections that break between the handler and a real server, and answers that are lost, late or
replaced: before the server got the insert, in the middle, and after it has stored the rows.

chDB's own listener is the server, and a proxy in front of it breaks the connections.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from audit_handler import AuditHandler
from tests.faults.staging import Judge, trials
from tests.support.fault_proxy import (
    Answering,
    Fault,
    FaultProxy,
    Reach,
    answering,
    cutting,
    message,
    passing,
    resetting,
    without_headers,
)
from tests.support.listening import ListeningClickHouse
from tests.support.listening.config import User
from tests.support.tables import Connect

pytestmark = [pytest.mark.once, pytest.mark.timeout(1_800)]

ON_THE_WAY = "connection reset, or an answer lost or late, over real HTTP"

# Rows of one fault: more than one segment, the last one not full.
ROWS = 60
WRITER = User(name="writer", password="made-up", grants=["GRANT INSERT ON *.*"])
PAGE = b"<html><title>Please log in</title></html>"
INSERT = "INSERT INTO"


FAULTS = {
    "reset before the insert arrives": Fault(resetting, INSERT, Reach.NOTHING),
    "reset in the middle of the insert": Fault(resetting, INSERT, Reach.HALF),
    "reset after the rows are stored": Fault(resetting, INSERT),
    "the acknowledgement is cut": Fault(cutting(200), INSERT),
    "ClickHouse's headers removed": Fault(without_headers("X-ClickHouse"), INSERT),
    **{
        f"{name}, {which}": Fault(answering(said), INSERT, reach)
        for which, reach in {"stored": Reach.ALL, "not stored": Reach.NOTHING}.items()
        for name, said in {
            "502 of a proxy": message(502, PAGE),
            "504 of a proxy": message(504, PAGE),
            "413 of a proxy": message(413, PAGE),
            "a login page": message(200, PAGE, Content_Type="text/html"),
            "a redirect": message(307, Location="http://127.0.0.1:1/"),
            "a forged data error": message(400, PAGE, X_ClickHouse_Exception_Code="27"),
        }.items()
    },
}

# The handler gives an answer up after this time.
LIMIT_SECONDS = 1


class Meeting:
    """An application that meets one fault after another, each with a table of its own."""

    def __init__(
        self,
        server: ListeningClickHouse,
        proxy: FaultProxy,
        make: Callable[[str], AuditHandler],
        judge: Judge,
    ) -> None:
        self._server = server
        self.proxy = proxy
        self._make = make
        self._judge = judge
        self._log = logging.getLogger("faults.real_answers")
        self._log.propagate = False
        self._log.setLevel(logging.INFO)

    def meet(self, name: str, *faults: Fault, after: Callable[[], None] = lambda: None) -> None:
        """
        Let each of *faults* happen to an insert, and judge the rows of all.

        Args:
            name: Of the fault, for the report.
            faults: One after the other.
            after: Called when the rows are stored, before they are judged.
        """
        handler = self._make(name)
        self._log.addHandler(handler)
        acknowledged: list[int] = []
        for fault in faults:
            self.proxy.clear()
            self.proxy.arm(fault)
            for number in range(len(acknowledged), len(acknowledged) + ROWS):
                fields = {"resource_type": "number", "resource_id": str(number)}
                self._log.info("n", extra={"action": "COUNT", **fields})
                acknowledged.append(number)
            assert handler.flush(60.0), (name, handler.status().last_error)
            assert [fault] == self.proxy.met
        self._log.removeHandler(handler)
        handler.close()
        after()
        target = handler.settings.target
        table = f"{target.database}.{target.table}"
        self._judge(ON_THE_WAY, name, self._server, table, acknowledged, trials=len(faults))


MakeMeeting = Callable[..., Meeting]


@pytest.fixture
def make_meeting(
    start_listening: Callable[..., ListeningClickHouse],
    make_handler: Callable[..., AuditHandler],
    connect: Connect,
    database: str,
    judge: Judge,
    request: pytest.FixtureRequest,
) -> MakeMeeting:
    def make(writes: str, **options: object) -> Meeting:
        server = start_listening(users=[WRITER])
        proxy = FaultProxy(server.port)
        request.addfinalizer(proxy.close)
        user = {"user": WRITER} if writes == "no grant to look up" else {}

        def make_one(name: str) -> AuditHandler:
            table = "of_" + "".join(c if c.isalnum() else "_" for c in name.lower())
            connect(server.dsn(database), table=table).create_table()
            return make_handler(
                server.dsn(database, port=proxy.port, **user),
                table=table,
                create_table=False,
                batch_size=50,
                async_insert=writes == "async inserts",
                **options,
            )

        def named(row: str, fault: str, *arguments: object, **more: object) -> object:
            return judge(row, f"{fault} ({writes})", *arguments, **more)  # type: ignore[arg-type]

        return Meeting(server, proxy, make_one, named)  # type: ignore[arg-type]

    return make


WRITES = pytest.mark.parametrize("writes", ["inserts", "async inserts", "no grant to look up"])


@WRITES
def test_a_connection_to_a_real_server_breaks_or_something_else_answers(
    make_meeting: MakeMeeting, writes: str
) -> None:
    meeting = make_meeting(writes)
    for name, fault in FAULTS.items():
        meeting.meet(name, *[fault] * trials(2))


@WRITES
def test_an_answer_of_a_real_server_comes_after_the_time_limit(
    make_meeting: MakeMeeting, writes: str
) -> None:
    """The client has given up and sends the rows again while the first answer is on its way."""
    meeting = make_meeting(writes, client_options={"send_receive_timeout": LIMIT_SECONDS})
    given_up = threading.Event()
    late = Fault(passing, INSERT, answers_after=given_up)
    meeting.meet("the answer comes after the time limit", *[late] * min(10, trials(1)))
    given_up.set()


@WRITES
def test_an_insert_reaches_a_real_server_after_the_time_limit(
    make_meeting: MakeMeeting, writes: str
) -> None:
    """When it arrives, a later attempt has stored its rows: its token drops them."""
    meeting = make_meeting(writes, client_options={"send_receive_timeout": LIMIT_SECONDS})
    late = [Late() for _ in range(min(10, trials(1)))]

    def let_arrive() -> None:
        for each in late:
            each.let_arrive()

    faults = [each.fault for each in late]
    meeting.meet("the insert arrives after the time limit", *faults, after=let_arrive)


class Late:
    """An insert that waits in a proxy, and arrives when its client has given up."""

    def __init__(self) -> None:
        self._may_arrive, self._has_arrived = threading.Event(), threading.Event()
        answer: Answering = self._answer
        self.fault = Fault(answer, INSERT, until=self._may_arrive)

    def let_arrive(self) -> None:
        self._may_arrive.set()
        assert self._has_arrived.wait(60.0)

    def _answer(self, _request: bytes, answer: bytes) -> bytes:
        self._has_arrived.set()
        return answer
