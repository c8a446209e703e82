"""Secrets in XML, YAML, and tables."""

from __future__ import annotations

from tests.support.redaction.values import Listed, aws_secret, base64_of, digits, hex40, token

SECRETS: Listed = {
    "XML": [
        ("element in it", {"request_body": "<login><password><v>MADE</v></password></login>"}),
        (
            "CDATA with a sign",
            {"request_body": "<login><password><![CDATA[a<MADE]]></password></login>"},
        ),
        ("named parameter", {"request_body": '<login><param name="password">MADE</param></login>'}),
        ("attribute", '<user name="ann" password="MADE"/>'),
        (
            "name and value",
            {"request_body": '<appSettings><add key="password" value="MADE"/></appSettings>'},
        ),
        ("namespace", "<s:Security><w:Password Type='text'>MADE</w:Password></s:Security>"),
        (
            "SOAP",
            {
                "request_body": (
                    "<soapenv:Envelope><soapenv:Header><wsse:UsernameToken><wsse:Username>"
                    'ann</wsse:Username><wsse:Password Type="#PasswordText">MADE</wsse:'
                    "Password></wsse:UsernameToken></soapenv:Header></soapenv:Envelope>"
                )
            },
        ),
        (
            "plist",
            {
                "x": {
                    "payload": (
                        "<dict><key>UserName</key><string>ann</string><key>"
                        "Password</key><string>MADE</string></dict>"
                    )
                }
            },
        ),
        (
            "Spring",
            (
                '<bean id="ds"><property name="username" value="app"/><property '
                'name="password" value="MADE"/></bean>'
            ),
        ),
        ("Spring, element", '<property name="password"><value>MADE</value></property>'),
        (
            "web.config",
            {
                "request_body": (
                    '<connectionStrings><add name="Db" connectionString="Server=db;User '
                    'Id=sa;Password=MADE"/></connectionStrings>'
                )
            },
        ),
        (
            "Maven",
            "<server><id>releases</id><username>ci</username><password>MADE</password></server>",
        ),
        ("Tomcat", '<user username="admin" password="MADE" roles="manager-gui"/>'),
        (
            "NuGet",
            {
                "request_body": (
                    '<packageSourceCredentials><feed><add key="ClearTextPassword" '
                    'value="MADE" /></feed></packageSourceCredentials>'
                )
            },
        ),
        (
            "XML-RPC",
            {
                "request_body": (
                    "<struct><member><name>password</name><value>"
                    "<string>MADE</string></value></member></struct>"
                )
            },
        ),
        ("in JSON text", {"x": '{"xml":"<auth><apiKey>MADE</apiKey></auth>"}'}, token("", 32)),
        (
            "upper case",
            {"request_body": "<LOGIN><USER>ANN</USER><PASSWORD>MADE</PASSWORD></LOGIN>"},
        ),
        (
            "escaped",
            {"response_body": "&lt;login&gt;&lt;password&gt;MADE&lt;/password&gt;&lt;/login&gt;"},
        ),
        ("single quotes", "<datasource user='app' password='MADE' server='db'/>"),
        ("HTML's input", {"response_body": '<input type="password" name="pw" value="MADE">'}),
        (
            "token element in lines",
            {
                "request_body": (
                    "<session>\n  <access_token>\n    MADE\n  </access_token>\n</session>"
                )
            },
            token("", 40),
        ),
        (
            "Windows event",
            (
                "<EventData><Data Name='SubjectUserName'>ann</Data>"
                "<Data Name='Password'>MADE</Data></EventData>"
            ),
        ),
        (
            "unattend.xml",
            {
                "request_body": (
                    "<AutoLogon><Password><Value>MADE</Value><PlainText>"
                    "true</PlainText></Password></AutoLogon>"
                )
            },
        ),
        ("cut off", {"request_body": "<login><user>ann</user><password>MADE"}),
    ],
    "YAML": [
        ("block", {"request_body": "user: ann\npassword: |\n  MADE\nrole: admin\n"}),
        ("doubled quote", {"request_body": "password: 'it''s MADE'\nuser: ann\n"}),
        (
            "list of an environment",
            {
                "request_body": (
                    "env:\n  - name: DB_PASSWORD\n    value: MADE\n  - name: A\n    value: b\n"
                )
            },
        ),
        ("simple", {"request_body": "database:\n  host: db\n  password: MADE\n  pool: 5\n"}),
        ("quotes", {"request_body": 'smtp:\n  user: a\n  password: "MADE"\n'}),
        ("folded", {"request_body": "secret: >-\n  MADE\n  and more\nname: x\n"}),
        ("flow", {"request_body": "db: {user: app, password: MADE, port: 5432}\n"}),
        (
            "docker-compose, list",
            {
                "request_body": (
                    "services:\n  db:\n    environment:\n      - "
                    "POSTGRES_USER=app\n      - POSTGRES_PASSWORD=MADE\n"
                )
            },
        ),
        (
            "docker-compose, map",
            {
                "x": {
                    "file": (
                        "services:\n  db:\n    environment:\n      "
                        "MYSQL_ROOT_PASSWORD: MADE\n      MYSQL_DATABASE: "
                        "shop\n"
                    )
                }
            },
        ),
        (
            "Secret, stringData",
            {
                "request_body": (
                    "apiVersion: v1\nkind: Secret\nmetadata:\n  name:"
                    " db\nstringData:\n  password: MADE\n"
                )
            },
        ),
        ("list of maps", {"request_body": "users:\n- name: ann\n  passwd: MADE\n- name: bob\n"}),
        ("list of tokens", {"request_body": "tokens:\n  - MADE\n  - other\n"}, hex40),
        (
            "kubeconfig",
            {"request_body": "users:\n- name: admin\n  user:\n    client-key-data: MADE\n"},
            base64_of(120),
        ),
        ("quoted name", {"request_body": "\"api-key\": 'MADE'\nhost: h\n"}, token("", 32)),
        ("comment behind it", {"request_body": "host: db\npassword: MADE # until May\nuser: a\n"}),
        ("Ansible", {"request_body": "- hosts: web\n  vars:\n    ansible_ssh_pass: MADE\n"}),
        (
            "block, kept",
            {"request_body": "auth:\n  client_secret: |-\n    MADE\n  client_id: shop\n"},
        ),
        (
            "GitHub Actions",
            {"request_body": "jobs:\n  a:\n    env:\n      NPM_TOKEN: MADE\n"},
            token("", 36),
        ),
        ("several documents", {"request_body": "a: 1\n---\nclientSecret: MADE\n...\n"}),
    ],
    "table": [
        (
            "HTML, with a corner and names of rows",
            "<table><tr><td></td><th>user</th><th>password</th></tr>"
            '<tr><th scope="row">1</th><td>ann</td><td>MADE</td></tr></table>',
        ),
        ("HTML, beside", "<table><tr><th>Password</th><td>MADE</td></tr></table>"),
        (
            "HTML, bold",
            "<TABLE><TR><TH><b>Password</b></TH><TH>n</TH></TR><TR><TD>MADE</TD><TD>1</TD></TR></TABLE>",
        ),
        ("CSV", {"request_body": "name,password,role\nann,MADE,admin\n"}),
        (
            "CSV in quotes",
            {
                "request_body": (
                    '"id","mail","Password"\n"1","a@b.org","x,y"\n"2","c@d.org","z,MADE"\n'
                )
            },
        ),
        ("TSV", {"request_body": "user\tpassword\trole\nann\tMADE\tadmin\n"}),
        ("semicolons", {"request_body": "name;mail;passwort;password\nann;a@b.org;x;MADE\n"}),
        ("second row", {"request_body": "id,user,api_key\n1,ann,aaa\n2,bob,MADE\n"}, token("", 32)),
        ("Windows' lines", {"request_body": "login,secret\r\nann,MADE\r\n"}),
        ("password first", {"request_body": "password,name\nMADE,ann\n"}),
        (
            "Chrome's export",
            {
                "request_body": "name,url,username,password,note\nshop,https://s.example.org,ann,MADE,\n"
            },
        ),
        (
            "AWS's keys",
            {"response_body": "User name,Access key ID,Secret access key\nann,AKIAEX,MADE\n"},
            aws_secret,
        ),
        (
            "AWS's keys, no user",
            {"x": {"file": "Access key ID,Secret access key\nAKIAEX,MADE\n"}},
            aws_secret,
        ),
        (
            "psql's",
            {
                "x": {
                    "out": (
                        " id | name | password\n"
                        "----+------+----------\n  7 | ann  | MADE\n"
                        "(1 row)\n"
                    )
                }
            },
        ),
        ("Markdown", {"x": {"comment": "| user | password |\n|---|---|\n| ann | MADE |\n"}}),
        (
            "camelCase, quotes",
            {"request_body": '"userId","accessToken","scope"\n"7","MADE","read"\n'},
            token("", 40),
        ),
        (
            "columns and rows",
            {"response_body": {"columns": ["id", "password"], "rows": [[7, "MADE"]]}},
        ),
        ("byte order mark", {"request_body": "\ufeffname,pin\nann,MADE\n"}, digits(6)),
        ("in a list", {"x": [{"csv": "email,temp_password\na@b.org,MADE"}]}),
        (
            "HTML",
            {
                "response_body": (
                    "<table><tr><th>user</th><th>password</th></tr><tr>"
                    "<td>ann</td><td>MADE</td></tr></table>"
                )
            },
        ),
        (
            "HTML, empty row",
            "<table><tr><th>User</th><th>Password</th></tr><tr><td></td><td></td></tr>"
            "<tr><td>bob</td><td>MADE</td></tr></table>",
        ),
        (
            "HTML, group of rows",
            "<table><tr><th>User</th><th>Password</th></tr><tr><th colspan=2>Production</th></tr>"
            "<tr><td>bob</td><td>MADE</td></tr></table>",
        ),
        (
            "HTML, column of two",
            '<table><tr><th colspan="2">User</th><th>Password</th></tr>'
            "<tr><td>ann</td><td>lee</td><td>MADE</td></tr></table>",
        ),
        (
            "HTML, changes",
            "<table><tr><th>Setting</th><th>Old</th><th>New</th></tr>"
            "<tr><th>db_password</th><td>MADE1</td><td>MADE2</td></tr></table>",
        ),
        (
            "HTML, changes in cells",
            "<table><tr><th>Setting</th><th>Old</th><th>New</th></tr>"
            "<tr><td>db_password</td><td>MADE1</td><td>MADE2</td></tr></table>",
        ),
        (
            "HTML, settings in cells",
            "<table><tr><th>Setting</th><th>State</th></tr>"
            "<tr><td>db_password</td><td>MADE</td></tr></table>",
        ),
        ("HTML, cells of a mail", "<table><tr><td>Password</td><td>MADE</td></tr></table>"),
        (
            "HTML, head of cells",
            "<table><thead><tr><td>User</td><td>Password</td></tr></thead>"
            "<tr><td>bob</td><td>MADE</td></tr></table>",
        ),
        (
            "HTML, bold head",
            "<table><tr><td><b>User</b></td><td><b>Password</b></td></tr>"
            "<tr><td>bob</td><td>MADE</td></tr></table>",
        ),
        (
            "HTML, without ends",
            "<table><tr><th>User<th>Password<th>Role<tr><td>ann<td>MADE<td>admin</table>",
        ),
        ("HTML, list of names", "<dl><dt>User</dt><dd>ann</dd><dt>Password</dt><dd>MADE</dd></dl>"),
        ("HTML, name with a colon", "<table><tr><th>Password:</th><td>MADE</td></tr></table>"),
        (
            "HTML, name with a comment",
            "<table><tr><th>Password (initial)&nbsp;</th></tr><tr><td>MADE</td></tr></table>",
        ),
    ],
}
