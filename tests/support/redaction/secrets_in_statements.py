"""Secrets in connection strings, SQL and command lines."""

from __future__ import annotations

from tests.support.redaction.values import Listed, aws_secret, base64_of, basic, hex40, luhn, token

SECRETS: Listed = {
    "connection string": [
        ("Password=", {"x": {"cs": "Server=db;User Id=app;Password=MADE;Encrypt=true"}}),
        (
            "AccountKey=",
            {
                "x": {
                    "cs": (
                        "DefaultEndpointsProtocol=https;AccountName=a;"
                        "AccountKey=MADE;EndpointSuffix=core"
                    )
                }
            },
            base64_of(64),
        ),
        (
            "SharedAccessKey=",
            "Endpoint=sb://ns.example.org/;SharedAccessKeyName=Root;SharedAccessKey=MADE",
            base64_of(32),
        ),
        ("Redis", {"x": {"cache": "redis.example.org:6380,password=MADE,ssl=True"}}),
        ("libpq", "connect host=db user=app password='MADE' dbname=shop"),
        (
            "SQL Server, Pwd",
            {"x": {"cs": "Data Source=db,1433;Initial Catalog=shop;UID=sa;Pwd=MADE;"}},
        ),
        (
            "ODBC",
            "DRIVER={ODBC Driver 18 for SQL Server};SERVER=db;DATABASE=shop;UID=app;PWD={MADE}",
        ),
        (
            "Npgsql",
            {
                "x": {
                    "ConnectionStrings": {
                        "Default": "Host=db;Username=app;Password=MADE;Database=shop"
                    }
                }
            },
        ),
        (
            "Cosmos",
            {"x": {"cs": "AccountEndpoint=https://c.documents.azure.com:443/;AccountKey=MADE;"}},
            base64_of(64),
        ),
        ("IoT Hub", "HostName=h.azure-devices.net;DeviceId=d1;SharedAccessKey=MADE", base64_of(32)),
        ("MySQL's", {"x": {"cs": "server=db;port=3306;user id=app;password=MADE;database=shop"}}),
        ("PDO", "new PDO mysql:host=db;dbname=shop;user=app;password=MADE"),
        ("Snowflake", {"x": {"cs": "account=xy12;user=svc;password=MADE;warehouse=wh"}}),
        (
            "libpq, no quotes",
            {"x": {"conninfo": "host=db port=5432 user=repl password=MADE sslmode=prefer"}},
        ),
        (
            "pooler",
            {
                "request_body": (
                    "[databases]\nshop = host=10.0.0.1 dbname=shop user=app password=MADE\n"
                )
            },
        ),
        ("RabbitMQ, EasyNetQ", "host=mq;virtualHost=/;username=app;password=MADE"),
        (
            "App Configuration",
            {"x": {"cs": "Endpoint=https://c.azconfig.io;Id=ab-l0-s0:xy;Secret=MADE"}},
            base64_of(32),
        ),
        (
            "Kafka's JAAS",
            {
                "x": {
                    "sasl.jaas.config": (
                        "org.apache.kafka.common.security.plain.PlainLoginModule"
                        ' required username="app" password="MADE";'
                    )
                }
            },
        ),
        (
            "Excel's OLE DB",
            "Provider=MSOLEDBSQL;Server=db;Database=shop;User ID=app;Password='MADE';",
        ),
    ],
    "SQL": [
        ("IDENTIFIED BY", {"x": {"query": "CREATE USER 'app'@'%' IDENTIFIED BY 'MADE'"}}),
        ("PASSWORD 'x'", {"x": {"query": "ALTER ROLE app WITH LOGIN PASSWORD 'MADE'"}}),
        ("SET PASSWORD FOR", {"x": {"query": "SET PASSWORD FOR 'app'@'%' = 'MADE'"}}),
        ("INSERT", {"x": {"query": "INSERT INTO account (name, password) VALUES ('ann', 'MADE')"}}),
        ("SET PASSWORD = PASSWORD()", {"x": {"query": "SET PASSWORD = PASSWORD('MADE')"}}),
        (
            "COPY CREDENTIALS",
            "COPY t FROM 's3://b' CREDENTIALS 'aws_access_key_id=A1;aws_secret_access_key=MADE'",
            aws_secret,
        ),
        (
            "CREATE LOGIN",
            {"x": {"query": "CREATE LOGIN app WITH PASSWORD = 'MADE', CHECK_POLICY = ON"}},
        ),
        (
            "CREATE LOGIN, N",
            {"x": {"statement": "ALTER LOGIN [sa] WITH PASSWORD = N'MADE' UNLOCK"}},
        ),
        (
            "ENCRYPTED PASSWORD",
            "statement: CREATE ROLE app LOGIN ENCRYPTED PASSWORD 'MADE' VALID UNTIL 'infinity'",
        ),
        (
            "Oracle",
            {"x": {"sql_text": 'CREATE USER app IDENTIFIED BY "MADE" DEFAULT TABLESPACE users'}},
        ),
        ("Oracle, no quotes", "ALTER USER app IDENTIFIED BY MADE ACCOUNT UNLOCK", token("", 16)),
        (
            "WITH caching_sha2_password BY",
            {
                "x": {
                    "query": (
                        "ALTER USER 'app'@'localhost' IDENTIFIED "
                        "WITH caching_sha2_password BY 'MADE'"
                    )
                }
            },
        ),
        (
            "UPDATE",
            {"x": {"query": "UPDATE users SET password = 'MADE', updated_at = now() WHERE id = 7"}},
        ),
        (
            "UPDATE, a token",
            {"x": {"query": 'UPDATE "sessions" SET "refresh_token" = \'MADE\' WHERE "id" = 7'}},
            hex40,
        ),
        ("WHERE", "SELECT id FROM users WHERE name = 'ann' AND password = 'MADE'"),
        ("GRANT", {"x": {"query": "GRANT ALL ON shop.* TO 'app'@'%' IDENTIFIED BY 'MADE'"}}),
        (
            "CREATE USER MAPPING",
            {
                "x": {
                    "query": (
                        "CREATE USER MAPPING FOR ann SERVER far "
                        "OPTIONS (user 'app', password 'MADE')"
                    )
                }
            },
        ),
        ("Snowflake", {"x": {"QUERY_TEXT": "create user svc password='MADE' default_role = r"}}),
        (
            "Snowflake's stage",
            "CREATE STAGE s URL='s3://b' CREDENTIALS=(AWS_KEY_ID='A1' AWS_SECRET_KEY='MADE')",
            aws_secret,
        ),
        (
            "ClickHouse",
            {"x": {"query": "CREATE USER u IDENTIFIED WITH plaintext_password BY 'MADE'"}},
        ),
        ("MASTER KEY", {"x": {"query": "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'MADE'"}}),
        (
            "CHANGE MASTER",
            "CHANGE MASTER TO MASTER_HOST='db2', MASTER_USER='repl', MASTER_PASSWORD='MADE'",
        ),
        (
            "pgcrypto",
            {
                "x": {
                    "query": (
                        "INSERT INTO users (email, passwd, role) "
                        "VALUES ('a@b.org', 'MADE', 'admin')"
                    )
                }
            },
        ),
        (
            "two rows",
            {"x": {"query": "INSERT INTO app.users (id, secret) VALUES (1, 'x1'), (2, 'MADE')"}},
        ),
        (
            "DuckDB",
            {"x": {"query": "CREATE SECRET s (TYPE s3, KEY_ID 'A1', SECRET 'MADE')"}},
            aws_secret,
        ),
        ("CQL", {"x": {"query": "CREATE ROLE app WITH PASSWORD = 'MADE' AND LOGIN = true"}}),
    ],
    "command line": [
        ("--password x", "mysqldump --user app --password MADE shop"),
        ("arguments", {"x": {"argv": ["tool", "--password", "MADE"]}}),
        ("--password=x", "mysqldump --user=app --password=MADE shop"),
        ("export", "export AWS_SECRET_ACCESS_KEY=MADE", aws_secret),
        ("curl -u", "curl -u svc:MADE https://api.example.org/v1/orders"),
        ("--from-literal=", "kubectl create secret generic db --from-literal=password=MADE"),
        ("PGPASSWORD", "PGPASSWORD=MADE psql -h db shop"),
        ("mysql -p", "mysql -u root -pMADE -h db shop"),
        ("sshpass -p", "sshpass -p MADE ssh ann@web-0"),
        ("redis-cli -a", {"x": {"cmd": "redis-cli -h cache -a MADE ping"}}),
        ("docker login -p", "docker login -u ann -p MADE registry.example.org"),
        ("docker run -e", {"x": {"cmd": "docker run -d -e POSTGRES_PASSWORD=MADE postgres:16"}}),
        (
            "docker run, arguments",
            {"x": {"argv": ["docker", "run", "-e", "MYSQL_ROOT_PASSWORD=MADE", "mysql:8"]}},
        ),
        ("kubectl --token", "kubectl --server https://k8s --token MADE get pods", token("", 60)),
        (
            "kubectl config set-credentials",
            "kubectl config set-credentials ann --username=ann --password=MADE",
        ),
        (
            "aws configure set",
            "aws configure set aws_secret_access_key MADE --profile eu",
            aws_secret,
        ),
        (
            "aws rds",
            (
                "aws rds modify-db-instance --db-instance-identifier shop "
                "--master-user-password MADE --apply-immediately"
            ),
        ),
        (
            "aws secretsmanager",
            "aws secretsmanager put-secret-value --secret-id prod/db --secret-string MADE",
        ),
        ("az login -p", "az login --service-principal -u 11-22 -p MADE --tenant t"),
        ("az keyvault", "az keyvault secret set --vault-name kv --name db --value MADE"),
        ("gcloud", "gcloud sql users set-password app --instance=shop --password=MADE"),
        ("openssl -passin", "openssl pkcs12 -in k.p12 -nodes -passin pass:MADE"),
        (
            "ldapsearch -w",
            {"x": {"cmd": "ldapsearch -x -D cn=svc,dc=example -w MADE -b dc=example uid=ann"}},
        ),
        (
            "helm --set",
            "helm upgrade shop ./chart --set image.tag=1.2 --set postgresql.auth.password=MADE",
        ),
        ("terraform -var", "terraform apply -var region=eu -var 'db_password=MADE'"),
        ("TF_VAR_", "TF_VAR_api_token=MADE terraform plan", token("", 40)),
        ("wget", "wget --user=ann --http-password=MADE https://files.example.org/a"),
        ("curl --user, arguments", {"x": {"argv": ["curl", "--user", "ann:MADE", "https://h/x"]}}),
        ("curl -d", "curl -X POST https://h/login -d 'user=ann&password=MADE'"),
        ("curl --data, JSON", 'curl https://h/login --data \'{"user":"ann","password":"MADE"}\''),
        ("sqlcmd -P", "sqlcmd -S db -U sa -P MADE -Q 'select 1'"),
        ("mongosh", "mongosh --host db -u app --password 'MADE' --authenticationDatabase admin"),
        ("vault kv put", "vault kv put secret/shop/db username=app password=MADE"),
        ("vault login", "vault login -method=userpass username=ann password=MADE"),
        ("keytool", "keytool -list -keystore k.jks -storepass MADE"),
        ("net user", "cmdkey /add:srv /user:ann /pass:MADE"),
        ("PowerShell", "$c = ConvertTo-SecureString 'MADE' -AsPlainText -Force"),
        ("PowerShell, -Password", "New-LocalUser -Name ann -Password MADE"),
        ("psql, URL", {"x": {"argv": ["psql", "postgresql://app:MADE@db/shop", "-c", "select 1"]}}),
        ("npm config set", "npm config set //registry.npmjs.org/:_authToken MADE", token("", 36)),
        ("--api-key", {"x": {"argv": ["tool", "--api-key=MADE", "--out", "a.txt"]}}, token("", 32)),
        ("ansible -e", "ansible-playbook site.yml -e 'ansible_become_pass=MADE'"),
        (
            "echo | docker login",
            "echo MADE | docker login -u ann --password-stdin registry.example.org",
        ),
        ("certutil -p", "CommandLine: certutil -f -p MADE -importpfx web.pfx"),
        ("smbclient -U", "COMMAND=/usr/bin/smbclient //fs/hr -U 'CORP/svc%MADE' -c ls"),
        ("snmpset -A", "snmpset -v3 -l authPriv -u nms -a SHA -A MADE -x AES 10.2.0.9"),
        ("snmp-server", "logged command: snmp-server community MADE RO 10"),
        ("snmp-server in brackets", "configured (snmp-server community MADE RO 10)"),
        ("snmp-server, CRLF", "snmp-server community MADE RO\r\nhostname r1\r\n"),
        ("isakmp", {"new_value": "crypto isakmp key MADE address 198.51.100.7\ncrypto isakmp"}),
        ("tacacs-server", "tacacs-server host 10.3.0.6 key MADE"),
        ("vault operator", "vault operator unseal -address=https://v MADE", base64_of(33)),
        ("zip, arguments", {"x": {"argv": ["zip", "-P", "MADE", "a.zip"]}}),
        ("docker login, arguments", {"x": {"argv": ["docker", "login", "-p", "MADE"]}}),
        (
            "arguments of auditd, -u",
            'type=EXECVE msg=audit(1.1:9): argc=4 a0="curl" a1="-u" a2="svc:MADE" a3="https://h/"',
        ),
        (
            "arguments of auditd, --password",
            'type=EXECVE msg=audit(1.1:9): argc=3 a0="tool" a1="--password" a2="MADE"',
        ),
        ("vault login, arguments", {"x": {"argv": ["vault", "login", "MADE"]}}, token("s.", 24)),
        ("net user, arguments", {"x": {"argv": ["net", "user", "bob", "MADE", "/add"]}}),
        (
            "net.exe use",
            {"x": {"argv": ["C:\\bin\\net.exe", "use", "Z:", "\\\\s\\x", "MADE"]}},
        ),
        ("sqlplus, arguments", {"x": {"argv": ["sqlplus", "bob/MADE@db"]}}),
        ("setx, arguments", {"x": {"argv": ["setx", "DB_PASSWORD", "MADE"]}}),
        (
            "aws, arguments",
            {"x": {"argv": ["aws", "configure", "set", "aws_secret_access_key", "MADE"]}},
            aws_secret,
        ),
        (
            "arguments of auditd, docker",
            'type=EXECVE msg=audit(1.1:9): argc=4 a0="docker" a1="login" a2="-p" a3="MADE"',
        ),
        (
            "arguments of auditd, net",
            'type=EXECVE msg=audit(1.1:9): argc=4 a0="net" a1="user" a2="ann" a3="MADE"',
        ),
        (
            "--from-literal, twice",
            "kubectl create secret generic s --from-literal=a=MADE1 --from-literal=b=MADE2",
        ),
        ("htpasswd -nb", "htpasswd -nbB admin MADE"),
        ("rman", "rman target sys/MADE1@db catalog rc/MADE2@cat"),
        ("zip with options", "zip -r -P MADE a.zip b"),
        ("7z, after the archive", "7z x a.7z -pMADE"),
    ],
    "transcript": [
        ("SMTP, AUTH PLAIN", "send: 'AUTH PLAIN MADE\\r\\n'", base64_of(30)),
        ("SMTP, AUTH XOAUTH2", "AUTH XOAUTH2 MADE", base64_of(60)),
        ("IMAP, LOGIN", 'imap: C: a001 LOGIN "ann@example.org" "MADE"'),
        ("Redis, AUTH", '1794000000.12 [0 10.0.0.4:5122] "AUTH" "MADE"'),
        (
            "Redis, AUTH with a user",
            {"x": {"line": '1794000000.12 [0 10.0.0.4:5122] "AUTH" "app" "MADE"'}},
        ),
        ("npm, _auth", "//registry.example.org/:_auth=MADE", basic),
        ("Docker, auth", {"x": {"auths": {"registry.example.org": {"auth": "MADE"}}}}, basic),
        (
            "Docker, auth in JSON text",
            {"request_body": '{"auths": {"registry.example.org": {"auth": "MADE"}}}'},
            basic,
        ),
        (
            "trace of PHP",
            {"error_message": "#0 a.php(7): PDO->__construct('mysql:host=h', 'shop', 'MADE')"},
        ),
        ("serialize of PHP", {"new_value": 'a:1:{s:8:"password";s:13:"MADE";}'}),
        ("magnetic stripe", "swiped ;MADE=28121010000012300000?", luhn("4539", 16)),
    ],
}
