"""Shapes of real repositories of Container Apps projects, self-made: what is a secret there, and what only looks like one."""

from __future__ import annotations

import pytest

from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Document, FileLocation, Match

SECRETS = {
    "default of a compose variable": "      - DB_PASSWORD=${POSTGRES_PASSWORD:-orders_password}\n",
    "words as a password in YAML": "source:\n  password: orders_writer\n",
    "words as a password in a compose list": "    - POSTGRES_PASSWORD=contoso_orders\n",
    "Laravel's key": "APP_KEY=base64:%{base64:43}=\n",
    "default of Laravel's key": "    'key' => env('APP_KEY', '%{base64:43}='),\n",
    "a password in a list of Markdown": "- **Password**: Wint3r!sComing\n",
    "a password that ends in a dot": '// Password: "Chronometer$0/(8."\n',
    "values in one argument": "az containerapp create --secrets db-password=Wint3r!sComing,other=$OTHER\n",
    "name and bare value": "- name: clientSecret\n  value: %{alnum:32}\n",
    "a hash of a password": "PasswordHash = '$2a$11$%{alnum:21}O%{alnum:30}C'\n",
}
NOT = {
    "a path of symbols, on the next line": "  name: 'ai-connection-string'\n  value: insights.properties.ConnectionString\n",
    "a path of symbols in YAML form": "  daprAIConnectionString: appInsights.properties.ConnectionString\n",
    "an output of Terraform": '  name  = "bus-connection-string"\n  value = azurerm_bus_rule.scaling.primary_connection_string\n',
    "a symbol on the next line": "  name: 'bus-connection-string'\n  value: serviceBusConStringValue\n",
    "a secret's name in capitals": "param connectionStringKey string = 'AZURE-SQL-CONNECTION-STRING'\n",
    "a constant that names a variable": 'const string ConnectionStringEnvVar = "APPLICATIONINSIGHTS_CONNECTION_STRING";\n',
    "a class behind a key": "'password.confirm' => \\Contoso\\Http\\Middleware\\RequirePassword::class,\n",
    "a constructor": 'let password = Password::new("Database password:")\n',
    "the next entry of an array": "  'password' => env('MAIL_PASSWORD'),\n  'timeout' => null,\n",
    "the next entry of a list": '  "host", "user", "password",\n  "tables",\n',
    "a call": "var salt = Convert.FromBase64String(split[SALT_INDEX]);\n",
    "prose": "# Second pass: Re-deploy with outbound addresses\n",
    "a command, cut off by its quotes": 'export PGPASSWORD="$(curl -s -H "Metadata: true" http://contoso.net)"\n',
    "a version": '  "parse-passwd": "^1.0.0"\n',
    "its own name, written together": 'CONTAINER_REGISTRY_PASSWORD="myregistrypassword"\n',
    "variables in one argument": 'create --secrets "bussecret=$bussecret,storagesecret=${storagesecret}"\n',
    "a reference in an argument": '--scale-rule-auth "connection=servicebus-connection-string"\n',
    "an invented hash": "PasswordHash = '$2a$11$%{alnum:21}P%{alnum:30}d'\n",
    "an empty default": "PASSWORD=${DB_PASSWORD:-}\n",
}
WEAK = {
    "a URL to this machine": 'migrate -database "pgx://postgres:%{alnum:12}@localhost/todo?sslmode=allow"\n',
    "a server after its password": "Password=%{alnum:12};User ID=sa;Server=localhost\n",
}


def scan(engine: Engine, text: str) -> list[Match]:
    return engine.scan(Document(expand(text).encode(), FileLocation("file", 1, 1)))


@pytest.mark.parametrize("shape", SECRETS)
def test_a_secret(engine: Engine, shape: str) -> None:
    assert [match.weak for match in scan(engine, SECRETS[shape])] == [False]


@pytest.mark.parametrize("shape", NOT)
def test_not_a_secret(engine: Engine, shape: str) -> None:
    assert [match.rule for match in scan(engine, NOT[shape])] == []


@pytest.mark.parametrize("shape", WEAK)
def test_a_weak_one(engine: Engine, shape: str) -> None:
    assert [match.weak for match in scan(engine, WEAK[shape])] == [True]
