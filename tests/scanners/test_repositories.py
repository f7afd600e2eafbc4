"""Shapes of real repositories of Container Apps projects, self-made: what is a secret there, and what only looks like one."""

from __future__ import annotations

import pytest

from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Document, FileLocation, Match

SECRETS = {
    "a broker's own password in public": "amqp://guest:guest@52.0.0.7:5672\n",
    "an account's pass": "SMTP_PASS=Wint3r!sComing\n",
    "default of a compose variable": "      - DB_PASSWORD=${POSTGRES_PASSWORD:-orders_password}\n",
    "words as a password in YAML": "source:\n  password: orders_writer\n",
    "words as a password in a compose list": "    - POSTGRES_PASSWORD=contoso_orders\n",
    "Laravel's key": "APP_KEY=base64:%{base64:43}=\n",
    "default of Laravel's key": "    'key' => env('APP_KEY', '%{base64:43}='),\n",
    "a password in a list of Markdown": "- **Password**: Wint3r!sComing\n",
    "a password that ends in a dot": '// Password: "Chronometer$0/(8."\n',
    "values in one argument": "az containerapp create --secrets db-password=Wint3r!sComing,other=$OTHER\n",
    "name and bare value": "- name: clientSecret\n  value: %{alnum:32}\n",
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
    "the outcome of a test": "    subgate_15e_pass = h1_deny_count >= 1\n",
    "the outcomes of tests": "  'h0_cohort_integrity_all_checks_pass': gate_14_all_checks,\n",
    "a log of tests": "PASS: loadgen-k6 triggerType=Manual\n",
    "names of variables in a list": "- `OPENAI_API_KEY`, `OPENAI_MODEL_ID`, `OPENAI_ENDPOINT`\n",
    "a format": '"jdbc:sqlserver://%s:1433;database=%s;user=%s;password=%s;"\n',
    "words that say secret": 'create --secrets "db-password=MySecretPassword123"\n',
    "a provider's manifest": 'Provider="System.Data.SqlClient" ProviderManifestToken="2012.Azure"\n',
    "a call in quotes": '"token": "datetime(2026-06-14T11:04:37Z)"\n',
    "a word that begins with a provider": '"coherence_sub_gates": gate_2_matrix_coherence_sub_gates_all,\n',
    "a symbol with many vowels": "    queueScaleConnectionString: storageQueueConnectionString\n",
    "what belongs here": '"openaiKey": "YOU-OPENAI-ENDPOINT"\n',
    "prose after an option": "start it with --adminName and --adminPassword directly, and it will create the account\n",
    "the header of a token alone": '"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",\n',
    "settings of an editor": '<s:String x:Key="/Default/Inspection/Skip/=C1708592_002D2236_002D4991/d:App">x</s:String>\n',
    "a path of symbols that may be missing": "    registryPassword: listedCredentials?.password.value,\n",
    "a text around expressions": "client_secret: `pi_${random(32).toString('hex')}_secret_${random(16)}`,\n",
    "half a key, twice": "appKey: '001A2B3C4D5E6F703001A2B3C4D5E6F703',\n",
    "a template of a connection string": "STORAGE_CONNECTION_STRING=DefaultEndpointsProtocol=https;AccountName=your_account;AccountKey=your_key\n",
    "a digest of a password": "- ROOT_PASSWORD_SHA2=%{hex:64}\n",
    "the ingestion id of an extension": '"aiKey": "%{hex:32}-%{guid}-7255",\n',
    "a reference of TeamCity": 'password = "credentialsJSON:%{guid}"\n',
    "a generated password": 'ADMIN_PASSWORD="Summer!$(openssl rand -base64 18)A1"\n',
    "a command between backticks": "REGISTRY_PASSWORD=`az acr credential show -n $NAME -o tsv`\n",
    "a fingerprint": 'ARG SOURCE_KEY_FPR="6F71F525282841EEDAF851B42F59B5F99B1BE0B4"\n',
    "a file as an argument": "az acr login --registry-password @/dev/stdin\n",
    "names of properties in a list": "- Remove `azureOpenaiApiKey`, `azureOpenaiDeploymentName`\n",
    "an empty default": "PASSWORD=${DB_PASSWORD:-}\n",
}
WEAK = {
    "a URL to this machine": 'migrate -database "pgx://postgres:%{alnum:12}@localhost/todo?sslmode=allow"\n',
    "a broker's own password at home": "amqp://guest:guest@10.0.1.30:5672\n",
    "a sample against this machine": "curl -X POST http://0.0.0.0:9000/auth -u app@example.com:Wint3r12\n",
    "a test's": "pfx_password = 'test12'\n",
    "a hash of a password": "PasswordHash = '$2a$11$%{alnum:21}O%{alnum:30}C'\n",
    "a user's own name": "postgres://orders:orders@db/orders\n",
    "an ingestion id": "InstrumentationKey=%{guid};IngestionEndpoint=https://contoso.net/\n",
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
