"""Secrets among the arguments of a command: in a line of a shell, and in a list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from audit_handler._record.redaction.names import KIND, SecretNames, lowered
from audit_handler._record.redaction.spans import Span, in_quotes
from audit_handler._record.redaction.values import REDACTED, stays

__all__ = ["Options"]

_OPTION = re.compile(
    r"(?<![^\s\"'=\[,(|;&])--?([A-Za-z0-9][\w.-]*)(?:[ \t]+|[\"'],[ \t]*(?=[\"']))(?=[^\s-])"
)
# Of curl, wget, http and others: the password after the user's name.
_USER = re.compile(
    r"(?<!\S)(?:-u|-U|--user|--proxy-user|--proxy|-a|--auth)[ \t=]*[\"']?"
    r"(?!\d+:\d+(?!\S))[^\s:\"'/-][^\s:\"'/]{1,200}[:%](?=[^\s\"'/])"
)
_CLIENTS = re.compile(r"\b(?:curl|wget|http|https|xh|etcdctl|redis-cli)\b")
# Of many clients: a password in an option of its own, beside the user's name.
_LOGIN = re.compile(
    r"(?:^|\s)(?:-u|-U|-l|--user(?:name)?|login)[ =][^\n|;]{1,100}?\s-[pPw][ \t]*"
    r"(?!\d+(?::\d+)*(?!\S))(?=[^\s-]\S{3})"
)
_NO_LOGIN = re.compile(r"\b(?:docker[ \t]+(?:run|exec|create)|podman|ssh|scp|nmap|mkdir|ps)\b")
# Communities, and keys of authentication and privacy.
_SNMP = re.compile(r"\bsnmp[a-z]+[ \t][^\n|;]*")
_SNMP_SECRET = re.compile(r"(?<=[ \t])-[cAX][ \t]+(?=[^\s-])")
# Whose secrets stand behind no option.
_PROGRAMS = frozenset(
    """
    vault snyk cargo rabbitmqctl net net1 sqlplus impdp expdp rman setx aws config wpa_passphrase
    """.split()
)
# Up to the next command of the line.
_REST = r"\b[^\n|;]{0,100}?[ \t]"
# What `_TOOLS` begins with, in lower case: words of letters alone are found in a tenth of the time.
_COMMANDS = re.compile(
    r"\b(?:"
    + "|".join(
        """
    sshpass mysql redis-cli docker podman skopeo buildah nerdctl helm oras crane az ldap sqlcmd
    bcp osql mongo vault cargo snyk rabbitmqctl sqlplus impdp expdp rman zip unzip 7z lftp net
    wpa_passphrase certutil smbclient rpcclient winexe smbmap snmp-server crypto tacacs-server
    radius-server sp_addlogin mosquitto_ htpasswd kubectl echo convertto-securestring auth login
    """.split()
    )
    + ")"
)
_TOOLS = re.compile(
    "|".join(
        (
            r"sshpass[ \t]+-p[ \t]*",
            rf"mysql(?:dump|admin|import|show|check)?{_REST}-p(?=\S)",
            rf"redis-cli{_REST}-a[ \t]+",
            rf"(?:docker|podman|skopeo|buildah|nerdctl|helm|oras|crane)[ \t][^\n|;]{{0,40}}?"
            rf"login{_REST}-p[ \t]+",
            rf"az[ \t]+(?:login|ad){_REST}-p[ \t]+",
            rf"az[ \t]+keyvault[ \t]+secret{_REST}--value[ \t=]+",
            rf"ldap(?:search|modify|add|delete|passwd|whoami|compare){_REST}-[ws][ \t]+",
            rf"(?:sqlcmd|bcp|osql){_REST}-P[ \t]*",
            rf"(?:mongo|mongosh|mongodump|mongorestore|mongoexport|mongoimport){_REST}-p[ \t]+",
            r"(?:vault|cargo)[ \t]+login[ \t]+(?=[^\s-])",
            r"snyk[ \t]+auth[ \t]+(?=[^\s-])",
            r"rabbitmqctl[ \t]+(?:add_user|change_password)[ \t]+\S+[ \t]+(?=[^\s-])",
            r"(?:sqlplus|impdp|expdp|rman)[ \t]+(?:-\S{1,100}[ \t]+){0,3}[^\s/@]{1,64}/(?=[^\s/])",
            r"(?:un)?zip[ \t]+(?:-\w{1,20}[ \t]+){0,3}-\w{0,3}(?-i:P)[ \t]*",
            # Transcripts of SMTP, IMAP and Redis.
            r"(?-i:(?:AUTH|auth)[ \t]+(?:PLAIN|plain|LOGIN|login|XOAUTH2|OAUTHBEARER)[ \t]+"
            r"(?=[\w+/=]{8})(?![a-z]+\b))",
            r"(?-i:LOGIN)[ \t]+\"[^\"\n]{1,200}\"[ \t]+(?=\")",
            r"(?-i:(?<=\")AUTH\")[ \t]+(?:\"[^\"\n]{1,200}\"[ \t]+)?(?=\")",
            r"7z[ \t]+\w[ \t]+(?:[^\s-]\S{0,100}[ \t]+){0,3}-p(?=\S)",
            r"lftp[ \t]+-u[ \t]+[^\s,]{1,64},",
            r"net(?:\.exe)?[ \t]+use[ \t]+(?:[a-z*]:?[ \t]+)?\\\\\S+[ \t]+(?=[^\s/])",
            r"wpa_passphrase[ \t]+\S+[ \t]+",
            r"certutil[ \t]+-[^\n|;]{0,60}?-p[ \t]+",
            r"(?:smbclient|rpcclient|winexe|smbmap)[ \t][^\n|;]{0,100}?-U[ \t]*[\"']?"
            r"[^\s%\"']{1,100}%",
            rf"vault[ \t]+operator[ \t]+(?:unseal|rekey){_REST}(?=[A-Za-z0-9+/]{{40}})",
            # Network devices.
            r"snmp-server[ \t]+community[ \t]+"
            r"(?=\S+(?:[ \t]+(?:RO|RW|view|\d+)){0,2}[ \t]*(?:$|[^\w \t]))",
            r"crypto[ \t]+isakmp[ \t]+key[ \t]+(?:[06][ \t]+)?",
            r"(?:tacacs|radius)-server[ \t][^\n|;]{0,80}?\bkey[ \t]+(?:[067][ \t]+)?"
            r"(?=\S{0,200}\d)(?=\S{6})",
            r"sp_addlogin[ \t]+'[^']*',[ \t]*",
            rf"mosquitto_(?:pub|sub){_REST}-P[ \t]+",
            r"htpasswd[ \t]+-(?=\w{0,9}b)(?:\w{0,9}n\w{0,9}|\w{1,20}[ \t]+\S+)[ \t]+\S+[ \t]+",
            r"net1?(?:\.exe)?[ \t]+user[ \t]+[^\s/]+[ \t]+(?![/\s*])",
            r"echo[ \t]+(?:-n[ \t]+)?"
            r"(?=\S{1,256}[ \t]*\|[^\n]{0,200}(?:-stdin\b|chpasswd|sudo[ \t]+-S))",
            r"ConvertTo-SecureString[ \t]+(?:-(?!AsPlainText)\w+[ \t]+|-AsPlainText[ \t]+){0,3}",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)
# Of kubectl create secret, which has many.
_LITERAL = re.compile(r"--from-literal[ =][\"']?[\w.-]{1,100}=")
# Of Oracle: connect target sys/tiger@db catalog rc/lion@cat.
_CONNECT = re.compile(
    r"\b(?:target|catalog|auxiliary|conn|connect)[ \t=]+[^\s/@]{1,64}/(?=[^\s/@]{1,100}@)",
    re.IGNORECASE,
)
# An option of Windows.
_SWITCH = re.compile(r"\s/r?p[: ](?=[^\s/])", re.IGNORECASE)
# In commands whose secret stands behind no option.
_NO_OPTION = re.compile(
    r"net1?(?:\.exe)?[ \t]+us|echo|securestring"
    r"|(?:set|put|add|create|setx|auth)\"?[ \t]|login|rabbitmqctl"
    r"|sqlplus|impdp|expdp|rman|wpa_|/r?p[: ]|sp_addlogin|isakmp|operator"
)
# A name and its value without a sign.
_SET = re.compile(
    r"\b(?:(?:configure|config|env|secret|secrets|variable)[ \t]+(?:set|put|add|create)|setx)[ \t]+"
    r"(?:-\S+[ \t]+){0,3}(\S{1,200})[ \t=]+(?=[^\s-])"
)
# The arguments of a command in a record of the Linux audit daemon: a0="curl" a1="-u".
_EXECVE = re.compile(r"\ba\d{1,3}=\"([^\"\n]*)\"")
# Characters of a password.
_FEW = 6
# What the help of a program puts in place of a value: PASSWORD, <token>, "string   the password".
_METAVARIABLE = re.compile(
    r"<[\w. -]{1,40}>|[A-Z]{2,}(?:_[A-Z]+)*(?=\])|(?:string|text|file)(?=\]|[ \t]{2})"
    r"|(?:[A-Z]+_)*(?:PASSWORD|PASSWD|PASSPHRASE|PASS|TOKEN|SECRET|KEY|FILE|PATH|STRING|VALUE|TEXT)"
    r"(?=[ \t]{2}|[ \t]*$)",
    re.MULTILINE,
)
# "vault login failed": prose about a command.
_PROSE = re.compile(
    r"(?:is|was|has|for|from|with|by|and|to|in|on|at|failed|succeeded|success|successful|locked"
    r"|unlocked|error|attempt|command|page|disabled|enabled|denied|rejected|timed)(?![^\s.,;:])",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(r"""[^\s"'`|;]*(?:[|;][^\s"'`]+)?""")


class Options:
    """
    Finds the secrets among arguments. Stateless, so one instance serves all threads.

    Args:
        names: Judge the names of options.
    """

    def __init__(self, names: SecretNames) -> None:
        self._names = names

    def spans(self, text: str) -> Iterator[Span]:
        """Yield the place of each secret argument in *text*."""
        if 'a1="' in text:
            yield from self._execve(text)
        lower = lowered(text)
        if "-" not in text and not _NO_OPTION.search(lower):
            return
        for option in _OPTION.finditer(text):
            name = option[1]
            verdict = self._names.judge(name)
            if (
                verdict & KIND
                and not name.startswith("no-")
                and not _METAVARIABLE.match(text, option.end())
            ):
                yield from self._argument(text, option.end(), verdict)
        has_client = _CLIENTS.search(text) is not None
        for found in _USER.finditer(text):
            user = found[0].rpartition(" ")[2][:-1]
            for start, end in self._argument(text, found.end(), 0):
                # In "docker run -u app:app" it is a group.
                if has_client or (end - start >= _FEW and text[start:end] != user):
                    yield start, end
        if not _NO_LOGIN.search(text):
            for found in _LOGIN.finditer(text):
                yield from self._argument(text, found.end(), 0)
        end = 0
        for command in _COMMANDS.finditer(lower):
            if command.start() >= end and (tool := _TOOLS.match(text, command.start())):
                end = tool.end()
                if not _PROSE.match(text, end):
                    yield from self._argument(text, end, 0)
        for found in _SWITCH.finditer(text):
            yield from self._argument(text, found.end(), 0)
        if "kubectl" in lower:
            for found in _LITERAL.finditer(text):
                yield from self._argument(text, found.end(), 0)
        if "rman" in lower or "sqlplus" in lower:
            for found in _CONNECT.finditer(text):
                yield from self._argument(text, found.end(), 0)
        for command in _SNMP.finditer(text):
            for found in _SNMP_SECRET.finditer(text, *command.span()):
                yield from self._argument(text, found.end(), 0)
        for found in _SET.finditer(text):
            verdict = self._names.judge(found[1])
            if verdict & KIND:
                yield from self._argument(text, found.end(), verdict)

    def _execve(self, text: str) -> Iterator[Span]:
        arguments = list(_EXECVE.finditer(text))
        shown = self.redacted([found[1] for found in arguments])
        for found, argument in zip(arguments, shown, strict=True):
            if argument != found[1]:
                # What stays is before the secret.
                yield found.start(1) + len(argument) - len(REDACTED), found.end(1)

    def _argument(self, text: str, start: int, verdict: int) -> Iterator[Span]:
        found = _ARGUMENT.match(text, start)
        span = in_quotes(text, start) or (found.span() if found else (start, start))
        if not (verdict and stays(text[slice(*span)], verdict)):
            yield span

    def is_command(self, name: str) -> bool:
        """Return whether *name* is a program some of whose secrets stand behind no option."""
        name = name.replace("\\", "/").rpartition("/")[2]
        return name.lower().removesuffix(".exe") in _PROGRAMS

    def redacted(self, arguments: list[Any]) -> list[Any]:
        """Return a list of *arguments* without the secret ones."""
        # As the line of a shell, in which a secret ends with its argument.
        texts = [item if type(item) is str else "" for item in arguments]
        spans = sorted(self.spans(" ".join(texts)))
        if not spans:
            return arguments
        copy = list(arguments)
        begin = next_span = 0
        for index, text in enumerate(texts):
            end = begin + len(text)
            while next_span < len(spans) and spans[next_span][1] <= begin:
                next_span += 1
            if next_span < len(spans) and spans[next_span][0] < end:
                copy[index] = text[: max(0, spans[next_span][0] - begin)] + REDACTED
            begin = end + 1
        return copy
