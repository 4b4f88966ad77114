"""Secrets in the forms in which data teams' logs really show them, and ordinary text that only looks like one.

Every value is put together here, so that no scanner finds a key in this repository.
"""

import base64
import json
from dataclasses import dataclass

UPPER = "QZ7XK2MB" * 8
MIXED = "aB3dE5fG7hJ9kL2m" * 16
HEX = "9f8e7d6c5b4a3210" * 8
WORD = "hunter" + "2!x"
B64_KEY = "Zx9" * 28 + "Qw" + "=="
PEM_BODY = "\n".join(["MIIE" + "vQIBADANBgkqhkiG9w0B" + "AQEFAASCBKcw" * 2] * 4)
PEM = "-----BEGIN " + "RSA PRIVATE KEY-----\n" + PEM_BODY + "\n-----END " + "RSA PRIVATE KEY-----"
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0" + "." + MIXED[:43]


@dataclass(frozen=True)
class Sample:
    """A text, and the parts of it that must not survive."""

    name: str
    text: str
    secrets: tuple[str, ...]


def _token(name: str, token: str, text: str = "request failed with key {} (401)") -> Sample:
    return Sample(name, text.format(token), (token,))


def _value(name: str, text: str, value: str = WORD) -> Sample:
    return Sample(name, text.replace("{}", value), (value,))


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


SECRETS: tuple[Sample, ...] = (
    _token("aws access key", "AKIA" + UPPER[:16]),
    _token("aws session key", "ASIA" + UPPER[:16]),
    Sample("aws key and secret in csv", "AKIA" + UPPER[:16] + "," + MIXED[:40], ("AKIA" + UPPER[:16], MIXED[:40])),
    _value(
        "aws secret in credentials file", "[default]\naws_secret_access_key = {}\nregion = eu-west-1", MIXED[:38] + "/+"
    ),
    _value("aws session token in env", "AWS_SESSION_TOKEN={}", "IQoJ" + MIXED[:200] + "=="),
    _value("aws presigned url", "GET https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature={}&x=1", HEX[:64]),
    _token("github classic", "ghp_" + MIXED[:36]),
    _token("github fine grained", "github_pat_" + MIXED[:22] + "_" + MIXED[:59]),
    _token("github app", "ghs_" + MIXED[:36], "git clone https://x-access-token:{}@github.com/acme/etl"),
    _token("gitlab", "glpat-" + MIXED[:20]),
    _token("gitlab routable", "glpat-" + MIXED[:27] + ".01." + MIXED[:9]),
    _token("gitlab runner", "glrt-" + MIXED[:20]),
    _token("slack bot", "xoxb-" + "123456789012-" * 2 + MIXED[:24]),
    _token("slack app", "xapp-1-A0" + UPPER[:9] + "-1234567890-" + HEX[:64]),
    _value(
        "slack webhook",
        "POST https://hooks.slack.com/services/{} 200",
        "T0" + UPPER[:8] + "/B0" + UPPER[:8] + "/" + MIXED[:24],
    ),
    _value("discord webhook", "https://discord.com/api/webhooks/123456789012345678/{}", MIXED[:68]),
    _token("anthropic", "sk-" + "ant-api03-" + MIXED[:93] + "AA"),
    _token("openai project", "sk-" + "proj-" + MIXED[:48]),
    _token(
        "openai legacy in an error", "sk-" + MIXED[:48], "Incorrect API key provided: {}. You can find your API key at"
    ),
    _token("stripe live", "sk_" + "live_" + MIXED[:24]),
    _token("stripe restricted", "rk_" + "test_" + MIXED[:24]),
    _token("google api key", "AIza" + MIXED[:35], "https://maps.googleapis.com/x?key={}&q=1"),
    _token("google oauth", "ya29." + MIXED[:60]),
    _token("google client secret", "GOCSPX-" + MIXED[:28]),
    Sample(
        "service account file",
        json.dumps({"type": "service_account", "private_key": PEM}),
        (PEM_BODY[:40], PEM_BODY[-20:]),
    ),
    Sample(
        "service account file in json", json.dumps(json.dumps({"private_key": PEM})), (PEM_BODY[:40], PEM_BODY[-20:])
    ),
    Sample("pem", "loaded\n" + PEM + "\ndone", (PEM_BODY[:40], PEM_BODY[-20:])),
    Sample("pem cut off", "loaded\n" + PEM[:150], (PEM_BODY[:40],)),
    Sample("pem with prefixes", PEM.replace("\n", "\n12:00:01 | INFO | "), (PEM_BODY[:40], PEM_BODY[-20:])),
    Sample("openssh key", PEM.replace("RSA", "OPENSSH"), (PEM_BODY[:40],)),
    _token("jwt", JWT),
    Sample("jwt cut off", "token " + JWT[:60] + "...", (JWT[:30],)),
    _token("bearer header", MIXED[:40], "> Authorization: Bearer {}"),
    _token("bearer in curl", MIXED[:40], "curl -H 'Authorization: Bearer {}' https://api.acme.io/v1"),
    _token("bearer in dict", MIXED[:40], "headers={{'authorization': 'Bearer {}', 'accept': '*/*'}}"),
    _token("bearer in httpx bytes", MIXED[:40], "[(b'Authorization', b'Bearer {}'), (b'Host', b'x')]"),
    _token("token header", MIXED[:40], "Authorization: Token {}"),
    _token("raw authorization", MIXED[:40], '"Authorization": "{}"'),
    _token("basic header", _basic("etl", WORD), "Authorization: Basic {}"),
    _token("basic elsewhere", _basic("etl", WORD), "sending basic {} to proxy"),
    _value(
        "aws sigv4", "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101, SignedHeaders=host, Signature={}", HEX[:64]
    ),
    _value("cookie", "Cookie: theme=dark; sessionid={}", MIXED[:32]),
    _value("set-cookie in dict", "{'set-cookie': 'sid={}; Path=/; HttpOnly'}", MIXED[:32]),
    _value("api key header", "x-api-key: {}", MIXED[:32]),
    _value("azure subscription header", "Ocp-Apim-Subscription-Key: {}", HEX[:32]),
    _value("postgres url", "could not connect to postgresql://etl:{}@db.acme.io:5432/flights"),
    _value("sqlalchemy url", "create_engine('postgresql+psycopg2://etl:{}@db/flights?sslmode=require')"),
    _value("url with odd password", "mysql+pymysql://etl:{}@db/flights", "p@ss/w0rd:x"),
    _value("redis without user", "redis://:{}@cache:6379/0"),
    _value("mongo", "mongodb+srv://etl:{}@cluster0.acme.mongodb.net/?retryWrites=true"),
    _value("amqp", "amqps://etl:{}@mq.acme.io/vhost"),
    _value("snowflake url", "snowflake://ETL:{}@acme-eu/FLIGHTS/PUBLIC?warehouse=WH"),
    _value("proxy", "HTTPS_PROXY=http://user:{}@proxy:3128"),
    _value("sentry dsn", "https://{}@o1.ingest.sentry.io/42", HEX[:32]),
    _value("quoted url", "next=postgresql%3A%2F%2Fetl%3A{}%40db%2Fflights", "hunter2x"),
    _value("libpq", "connection failed: host=db port=5432 user=etl password={} dbname=flights"),
    _value("libpq quoted", "host=db user=etl password='{}' dbname=x", "two words 9"),
    _value("jdbc", "jdbc:postgresql://db:5432/flights?user=etl&password={}&ssl=true"),
    _value("jdbc sqlserver", "jdbc:sqlserver://db:1433;databaseName=x;user=etl;password={};encrypt=true"),
    _value("jdbc oracle", "jdbc:oracle:thin:etl/{}@//db:1521/x"),
    _value("odbc", "DRIVER={ODBC Driver 18};SERVER=db;UID=etl;PWD={};Encrypt=yes"),
    _value("odbc in braces", "Server=db;UID=etl;PWD={{}};Encrypt=yes", "p;q=r 9"),
    _value("pgpassword", "PGPASSWORD={} psql -h db -U etl"),
    _value("pgpass file", "db.acme.io:5432:flights:etl:{}"),
    _value("netrc", "machine api.acme.io login etl password {}"),
    _value(
        "azure storage connection string",
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={};EndpointSuffix=y",
        B64_KEY,
    ),
    _value("azure storage key alone", "using {} for blob", B64_KEY),
    _value("azure sas", "https://x.blob.core.windows.net/c/b?sv=2024-01-01&sig={}&se=2026", MIXED[:42] + "%3D"),
    _value("azure service bus", "Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey={}", MIXED[:43] + "="),
    _value("azure client secret", "client secret {} expired", MIXED[:3] + "8" + "Q~" + MIXED[:34]),
    _token("snowflake session", "ver:1-" + "hint:1234-" + MIXED[:60]),
    _token("databricks", "dapi" + HEX[:32]),
    _token("prefect user key", "pnu_" + MIXED[:36]),
    _token("prefect service key", "pnb_" + MIXED[:36]),
    _token("npm", "npm_" + MIXED[:36]),
    _value("npmrc", "//registry.npmjs.org/:_authToken={}", "npm_" + MIXED[:36]),
    _token("pypi", "pypi-" + "AgEIcHlwaS5vcmc" + MIXED[:120]),
    _token("sendgrid", "SG." + MIXED[:22] + "." + MIXED[:43]),
    _token("twilio", "SK" + HEX[:32]),
    _token("mailgun", "key-" + HEX[:32]),
    _token("mailchimp", HEX[:32] + "-us14"),
    _token("new relic", "NRAK-" + UPPER[:27]),
    _token("grafana", "glsa_" + MIXED[:32] + "_" + HEX[:8]),
    _token("vault", "hvs." + MIXED[:90]),
    _token("terraform cloud", MIXED[:14] + ".atlasv1." + MIXED[:67]),
    _token("doppler", "dp.pt." + MIXED[:43]),
    _token("hugging face", "hf_" + MIXED[:34]),
    _token("digitalocean", "dop_v1_" + HEX[:64]),
    _token("dbt cloud", "dbtc_" + MIXED[:40]),
    _token("telegram", "123456789:AA" + MIXED[:33]),
    _token("notion", "secret_" + MIXED[:43]),
    _token("atlassian", "ATATT3" + "xFfGF0" + MIXED[:80]),
    _token("shopify", "shpat_" + HEX[:32]),
    _token("docker hub", "dckr_pat_" + MIXED[:27]),
    _token("age", "AGE-SECRET-KEY-1" + UPPER[:58]),
    _value("env password", "DB_PASSWORD={}"),
    _value("env export", "export SNOWFLAKE_PASSPHRASE='{}'"),
    _value("dotenv secret", 'DJANGO_SECRET_KEY="{}"', MIXED[:50]),
    _value("yaml", "outputs:\n  prod:\n    type: snowflake\n    password: {}\n    role: X"),
    _value("yaml token", "    token: {}\n    host: x", "abcdefghij"),
    _value("toml", 'api_key = "{}"', MIXED[:24]),
    _value("json", '{"user": "etl", "password": "{}", "port": 5432}'),
    _value("json with a quote in it", '{"password": "{}", "port": 5432}', 'ab\\"cd9'),
    _value("escaped json", '"{\\"client_secret\\": \\"{}\\", \\"x\\": 1}"'),
    _value("twice escaped json", '{\\\\\\"refresh_token\\\\\\": \\\\\\"{}\\\\\\"}', MIXED[:30]),
    _value("python dict", "{'user': 'etl', 'password': '{}'}"),
    _value("python call", "Credentials(user='etl', password='{}', port=1)"),
    _value("python bytes", "Fernet(fernet_key=b'{}')", MIXED[:43] + "="),
    _value("python assignment", "os.environ['DB_PASSWORD'] = '{}'"),
    _value("camel case", '"clientSecret":"{}"', MIXED[:20]),
    _value("query string", "GET /v1/flights?day=2013-01-01&api_key={}&page=2", MIXED[:24]),
    _value("form body", "grant_type=password&username=etl&password={}"),
    _value("escaped ampersand", "?access_token={}\\u0026page=2", MIXED[:24]),
    _value("command line", "vendor-cli pull --password {} --day 2013-01-01"),
    _value("command line with equals", "vendor-cli --api-token={} pull", MIXED[:20]),
    _value("curl user", "curl -u etl:{} https://api.acme.io"),
    _value("xml", "<server><username>etl</username><password>{}</password></server>"),
    _value("container env", "- name: DB_PASSWORD\n  value: {}\n- name: X"),
    _value("container env in json", '{"name": "API_TOKEN", "value": "{}"}', MIXED[:20]),
    _value("pydantic error", "password\n  String should match [type=x, input_value='{}', input_type=str]"),
    _value("sql create user", "CREATE USER etl WITH PASSWORD '{}' CREATEDB"),
    _value("sql identified by", "CREATE USER 'etl' IDENTIFIED BY '{}'"),
    _value("snowflake sql", "ALTER USER etl SET PASSWORD = '{}'"),
    _value("prose", "logged in with password: {} from 10.0.0.1"),
    _value("url in form", "password%3D{}%26x", "hunter2x"),
    _value("after an escaped line break", "line one\\n{} line", "ghp_" + MIXED[:36]),
    _value(
        "base64 of a file", "data: {}", base64.b64encode(f'{{"user": "etl", "password": "{WORD}"}}'.encode()).decode()
    ),
    _value("base64 of a url", "url: {}", base64.b64encode(f"postgresql://etl:{WORD}@db/x".encode()).decode()),
)

ORDINARY: tuple[str, ...] = (
    "flow run 0198a6c2-7b1e-7c3a-9f00-5d2a3b4c5d6e entered Failed",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 (HEAD -> main)",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "2013-01-01T05:15:00.123456+00:00 | INFO | Task run 'load-4f2' - Finished in state Completed()",
    "/usr/local/lib/python3.12/site-packages/sqlalchemy/engine/base.py:1967",
    'File "/opt/prefect/flows/nightly_flights.py", line 42, in extract',
    "336,776 rows loaded into flights in 12.3 s",
    "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    "SyntaxError: Unexpected token '}' in JSON at position 1337",
    "Unexpected token: EOF while parsing",
    'FATAL:  password authentication failed for user "etl"',
    "KeyError: 'api_key'",
    "the access token expired; get a new token and try again",
    "401 Unauthorized: Invalid API key",
    'WWW-Authenticate: Bearer realm="vendor", error="invalid_token"',
    "Bearer authentication is required for this endpoint",
    "Basic authentication failed",
    "usage: input_tokens=1200 output_tokens=345 max_tokens=4096",
    '{"input_tokens": 1200, "token_count": 12, "tokens": 99}',
    "https://api.acme.io:8443/v1/flights?day=2013-01-01&page=2",
    "http://127.0.0.1:4200/api/flow_runs/0198a6c2-7b1e-7c3a-9f00-5d2a3b4c5d6e",
    "git@github.com:acme/etl.git",
    "ssh://git@github.com/acme/etl.git",
    "postgresql://etl@db.acme.io:5432/flights",
    "https://www.npmjs.com/package/@acme/etl",
    "contact data-oncall@acme.io or see https://wiki.acme.io/runbooks",
    "def connect(user: str, password: str, token: str | None = None) -> Engine:",
    "password = os.environ['DB_PASSWORD']",
    "engine = connect(token=settings.vendor_token, timeout=30)",
    "token = get_token(scope='read')",
    "password: ${DB_PASSWORD}",
    "password: \"{{ env_var('DB_PASSWORD') }}\"",
    "api_key=None, secret=None",
    "PWD=/home/etl/flows",
    "partition_key: 2013-01-01, primary_key=flight_id, sort_key: carrier",
    "idempotency_key='heal:9fceb02d:3'",
    "3 passed, 1 failed in 0.42s; pass=3 fail=1",
    "secretsmanager:GetSecretValue is not authorized for role etl",
    "kubernetes secret vendor-credentials not found in namespace prod",
    "Set-Cookie header is missing",
    "no cookie: session is not used here",
    'duplicate key value violates unique constraint "flights_pkey"',
    'UndefinedColumn: column "dep_delay" does not exist\nLINE 1: SELECT dep_delay FROM flights',
    "task-runner-with-a-long-kebab-case-name-and-more",
    "disk-usage-of-warehouse-volume at 97 percent",
    "sk-learn-pipelines-are-written-in-kebab-case",
    "UA1545,N14228,EWR,IAH,2013-01-01 05:00:00,227,1400",
    "asyncio.exceptions.TimeoutError: timed out after 30 seconds",
    "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://127.0.0.1:8099/flights?day=2013-01-02'",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n-----END CERTIFICATE-----",
    "if '-----BEGIN RSA PRIVATE KEY-----' in text: raise ValueError",
    "Retry-After: 30",
    "Author: Basil Token <basil@acme.io>",
    "password must have at least 12 characters",
    "Reset your password: click the link below",
    "authorization: required",
    "image registry.acme.io/etl@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "s3://acme-flights/raw/year=2013/month=01/day=01/part-00000-9f8e7d6c.snappy.parquet",
    "https://prefect.acme.io/runs/flow-run/0198a6c2-7b1e-7c3a-9f00-5d2a3b4c5d6e?tab=logs",
    'etag: W/"33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "bypass=true compass: north tokenizer: bert",
    "next_token is null; secret_name: vendor-api; token_url=https://auth.acme.io/oauth/token; token_type: bearer",
    "class Token: pass",
    "ModuleNotFoundError: No module named 'flights_secret'",
)
