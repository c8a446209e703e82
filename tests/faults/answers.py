"""HTTP answers that no ClickHouse gives: by name for tests, and as many as a fuzzer makes."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable

from tests.support.fault_proxy import Answering, Fault, Reach, cutting

__all__ = ["EXCEPTION", "INSERT", "LATE_EXCEPTION", "NOTHING", "PAGE", "Fuzzer"]

PAGE = b"<!DOCTYPE html><html><title>Please log in</title></html>"
EXCEPTION = b"Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
# Reasons to split rows, if ClickHouse gave them.
REFUSALS = (
    b"Code: 27. DB::Exception: Cannot parse input: (at row 1): While executing JSONEachRow. "
    b"(CANNOT_PARSE_INPUT_ASSERTION_FAILED)",
    b"Code: 349. DB::Exception: Cannot insert NULL value: (at row 2)",
    b"Code: 27. DB::Exception: Received from s2:9000. DB::Exception: Cannot parse. Stack trace:",
    b"Code: 6. DB::Exception: Cannot parse string: while pushing to view d.v (some-uuid). (X)",
)
LATE_EXCEPTION = b"__exception__\r\nabcdefghijklmnop\r\n" + EXCEPTION + b"\r\n__exception__"
# Not the request of that size which stores nothing: only a limit can refuse both.
INSERT = r"INSERT INTO (?!.* FROM input)"
NOTHING = r"INSERT INTO .* FROM input"


class Fuzzer:
    """Makes HTTP answers; with the same *seed*, the same ones."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def fault(self, match: str) -> Fault:
        """Return one fault of the next request in which *match* is found."""
        kind = self.chance.choice(
            ["forged", "forged", "forged", "mixed", "mixed", "cut", "fewer headers", "garbled"]
        )
        if kind == "forged":
            reach = self.chance.choice(list(Reach))
            raw = self._forged(is_limit=match != NOTHING)
            return Fault(lambda request, _answer: _with_query_id(raw, request), match, reach)
        changes: dict[str, Callable[[], Answering]] = {
            "mixed": lambda: self._mixed(is_limit=match != NOTHING),
            "cut": lambda: cutting(self.chance.choice([1, -1]) * self.chance.randrange(1, 600)),
            "fewer headers": self._with_fewer_headers,
            "garbled": self._garbled,
        }
        return Fault(changes[kind](), match)

    def _forged(self, *, is_limit: bool, may_refuse: bool = True) -> bytes:
        """
        Return an answer that no server gave. If it knows the query id, it counts too few rows, and
        its text gives no reason to split them: ClickHouse's own answers say no more.

        Args:
            is_limit: Whether it may be that of a proxy with a limit, 413.
            may_refuse: Whether its text may give a reason to split rows.
        """
        chance = self.chance
        status = chance.choice(
            [
                *(200, 200, 201, 202, 204, 301, 302, 307, 308, 401, 403, 404, 413, 429, 500, 503),
                *(chance.randrange(100, 600) for _ in range(8)),
            ]
        )
        if status == 413 and not is_limit:
            status = 503
        codes = [60, 81, 164, 241, 252, 497, 516, 999, 12345, 0, "x", 6, 27, 41, 117, 349, 469]
        summary = chance.choice(
            [
                *("no JSON", "[]", "{}", "null", "", "[" * 5_000, '{"written_rows":"0"}'),
                *('{"written_rows":null}', '{"written_rows":"-1"}', '{"read_rows":"99"}'),
            ]
        )
        possible: dict[str, str] = {
            "X-ClickHouse-Query-Id": chance.choice(["", "another", "QUERY_ID", "QUERY_ID"]),
            "X-ClickHouse-Summary": summary,
            "X-ClickHouse-Exception-Code": str(chance.choice(codes)),
            "X-ClickHouse-Format": "JSONCompact",
            "Content-Type": chance.choice(["text/html", "application/json", "text/plain", ""]),
            "Content-Encoding": chance.choice(["gzip", "zstd", "lz4", "br", "nonsense"]),
            "Location": chance.choice(["/", "http://127.0.0.1:1/", "http://[", ""]),
            "Retry-After": "3600",
            "Server": "nginx",
            "Connection": chance.choice(["keep-alive", "close"]),
        }
        headers = {name: value for name, value in possible.items() if chance.random() < 0.4}
        is_known = headers.get("X-ClickHouse-Query-Id") == "QUERY_ID"
        body: bytes = chance.choice(
            [
                *(b"", PAGE, EXCEPTION, LATE_EXCEPTION, b"Ok.\n", b"{}", chance.randbytes(40)),
                *(gzip.compress(PAGE), gzip.compress(PAGE)[:20], b"\n", b"0\r\n\r\n"),
                b'{"meta":[],"data":[],"rows":0}',
                b'{"meta":[{"name":"seq"}],"data":[],"rows":0}',
                *(REFUSALS if may_refuse and not is_known else ()),
            ]
        )
        framing = chance.choice(["length", "length", "length", "none", "long", "chunked"])
        if framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif framing != "none":
            headers["Content-Length"] = str(len(body) + 9 * (framing == "long"))
        lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in headers.items())]
        raw: bytes = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        end = chance.randrange(1, len(raw)) if chance.random() < 0.2 else len(raw)
        return raw[:end]

    def _mixed(self, *, is_limit: bool) -> Answering:
        """Take the status, each header and the body from the server's answer or a forged one."""
        drawn = random.Random(self.chance.random())
        # The server's headers know the query id.
        raw = self._forged(is_limit=is_limit, may_refuse=False)

        def answer(request: bytes, answer: bytes) -> bytes:
            server, forged = answer, _with_query_id(raw, request)
            (one, ours), (other, theirs) = map(_parts, (server, forged))
            heads = [line for line in (*ours, *theirs) if drawn.random() < 0.6]
            bodies = [each.partition(b"\r\n\r\n")[2] for each in (server, forged)]
            lines: list[bytes] = [drawn.choice([one, other]), *heads]
            body: bytes = drawn.choice(bodies)
            return b"\r\n".join(lines) + b"\r\n\r\n" + body

        return answer

    def _with_fewer_headers(self) -> Answering:
        drawn = random.Random(self.chance.random())

        def answer(_request: bytes, answer: bytes) -> bytes:
            head, blank, body = answer.partition(b"\r\n\r\n")
            first, *fields = head.split(b"\r\n")
            kept = [line for line in fields if drawn.random() < 0.6]
            return b"\r\n".join([first, *kept]) + blank + body

        return answer

    def _garbled(self) -> Answering:
        """Change one byte of the head."""
        drawn = random.Random(self.chance.random())

        def answer(_request: bytes, answer: bytes) -> bytes:
            place = drawn.randrange(max(1, answer.find(b"\r\n\r\n")))
            return answer[:place] + drawn.randbytes(1) + answer[place + 1 :]

        return answer


def _parts(answer: bytes) -> tuple[bytes, list[bytes]]:
    """Return the status line and the header lines of *answer*."""
    first, *fields = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return first, fields


def _with_query_id(raw: bytes, request: bytes) -> bytes:
    found = re.search(rb"query_id=([\w-]+)", request)
    return raw.replace(b"QUERY_ID", found[1] if found else b"")
