"""Shapes of real repositories of Container Apps projects, self-made: what is a secret there, and what only looks like one."""

from __future__ import annotations

import pytest

from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Confidence, Document, FileLocation, Match

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
    "the key of a call": '"hook": "https://hooks.contoso.net/send?key=%{guid}"\n',
    "name and bare value": "- name: clientSecret\n  value: %{alnum:32}\n",
    "a word as a password of a cache": "command: redis-server --requirepass raspberry --appendonly yes\n",
    "a word as a password of a command": "sshpass -p raspberry ssh host\n",
    "a word as a password of a database": "PGPASSWORD=raspberry psql -h db\n",
    "a password for one app of Google's": 'password: "qpzvkuxtgmcmwrvb",\n',
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
    "a label in another language, escaped": '"newPassword": "\\u0635\\u062f\\u064a\\u0642 12",\n',
    "a sign of a font": '{\\"arrow\\": \\"\\\\f10a\\", \\"pass\\": \\"\\\\f80b\\",\n',
    "an id of a call": '{"callId":"pw:orders@12","time":600657628.791}\n',
    "a word of a sentence after an option": "cache: added --requirepass flag and an authentication\n",
    "versions that are left out": '    "contoso/fe_change_pwd": "<3.0.5|>=4,<4.0.3",\n',
    "a parameter of Symfony": "password: '%env(string:ORDERS_PASSWORD)%'\n",
    "a symbol with a number within": "    Secret = base64Secret,\n",
    "a function and what it is given": "let secretB64 = base64UrlEncode secret\n",
    "the name of a type": '/// Key type: "JsonKey2031", "Rsa4096VerificationKey2031", etc.\n',
    "the name of a test": "`RefreshToken_WithValidToken`, `GetOAuth2Token_WithClientIdentity`, `Other`\n",
    "a decentralised identifier": "/// - did:key:z6Mk%{alnum:42}\n",
    "an option in HTML": "azd env set SQL_ADMIN_PASSWORD &quot;YourOrdersPassword123!&quot; --secret\n",
    "letters and digits in turn": "JWT_SECRET_KEY=cD1E2f3G4H5I6J7K8L9M0N1O2\n",
    "a UUID of the documentation": '"session_token": "550e8400-e29b-41d4-a716-446655440000"\n',
    "an id under a key of a table": '"storyKey": "%{guid}"\n',
    "a token without its signature": 'api_key="eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJvcmRlcnMiOiJtIn0..."\n',
    "a host as an argument": "az containerapp create --secrets db-host=orders-3.mysql.database.azure.com\n",
    "what stands between two strings": "console.log('ORDERS_PASSWORD:', process.env.ORDERS_PASSWORD ? 'yes' : 'no');\n",
    "classes of a style": "'Report Pass': 'bg-red-50 text-red-700 border border-red-200',\n",
    "minified assignments": 'e.confirmPassword=n.confirmPassword:i.confirmPassword="Wiederholen"\n',
    "a comparison in minified code": "pw =pw===0 || isNaN(pw)\n",
    "an assignment as a value": '    sql-password=string="${SQL_PASSWORD}" \\\n',
    "a class of characters": 'token = r"[-!#$%&\'*+.^_`|~0-9a-zA-Z]+"\n',
    "a type of one more word": "googleCredentials: OAuth3Client\n",
    "the type of a field": "ed448_key: ed448.Ed448PublicKey,\n",
    "optional, in Spanish": "REDIS_PASSWORD=opcional\n",
    "an id that was made up": "- Secret: `abcd1234-5678-90ef-ghij-klmnopqrstuv`\n",
    "to be changed in production": "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-orders_change_in_prod}\n",
    "a resource of Terraform with a dash": "login};password=${azurerm_server.orders-db.administrator_password};encrypt=true\n",
    "what a check prints": 'Each check prints "PASS" or "FAIL: <reason>" and the script ends\n',
    "the next one of a row": '["orders-mrms-qpe-1h-pass1", "orders-mrms-qpe-24h-pass2"],\n',
    "a member of an object": "    Password = _ordersToken!\n",
    "an id that is none": "ORDERS_LICENSE_KEY=c4234812-12zb-42s6-a1e3-55bedd4a5bb\n",
    "not so secret": '<add key="ClearTextPassword" value="not_so_secret" />\n',
    "yours, with a sign": "- MSSQL_SA_PASSWORD=YourStrong@Orders123\n",
    "a member as a password": "uri=self.uri, user=self.user, password=self.password, database=self.database\n",
    "a member of a member as a password": "new { username = _config.Username, password = _config.Password });\n",
    "blanked out before a year": '"UserPassword": "XXXX@2031",\n',
    "a hash in a table of models": '"deepseek-orders",\n            "%{hex:64}": "deepseek-coder",\n',
    "an attribute of a type": "let password: @Sendable () -> String?\n",
    "a public key": 'ORDERS_PUBLIC_ED_KEY="${ORDERS_PUBLIC_ED_KEY:-%{base64:43}=}"\n',
    "an identifier's key": "AVFormatIDKey: kAudioFormatMPEG4AAC,\n",
    "a word around an expression": 'admin_password = "Orders${var.suffix}!"\n',
    "a public key of a widget": "WIDGET_APIKEY: 'pub_%{hex:40}',\n",
    "a hash of a secret": '"hashed_secret": "%{hex:40}",\n',
    "a configuration in a sentence": "Set the requirepass directive.\n",
    "a word after a command": "the htpasswd tool can only make a few kinds of hashes\n",
}
WEAK = {
    "a URL of the documentation": "mirror=https://orders:%{alnum:12}@artifacts.example.com/x\n",
    "a token of the documentation": "Location: http://example.com/cb#access_token=%{alnum:22}\n",
    "a URL to this machine": 'migrate -database "pgx://postgres:%{alnum:12}@localhost/todo?sslmode=allow"\n',
    "a broker's own password at home": "amqp://guest:guest@10.0.1.30:5672\n",
    "a sample against this machine": "curl -X POST http://0.0.0.0:9000/auth -u app@example.com:Wint3r12\n",
    "a test's": "pfx_password = 'test12'\n",
    "a hash of a password": "PasswordHash = '$2a$11$%{alnum:21}O%{alnum:30}C'\n",
    "a user's own name": "postgres://orders:orders@db/orders\n",
    "an ingestion id": "InstrumentationKey=%{guid};IngestionEndpoint=https://contoso.net/\n",
    "a key that says it is a test's": '"api_key": "ord_test-contoso_%{hex:32}"\n',
    "a user of a test": 'auth.create_user("testuser", "orders@contoso.net", "Wint3r!Sale88")\n',
    "a sample in a comment": '/**\n * @example\n *   share_token: "x72YK-69Gnh4"\n */\n',
    "a password that says it is a test's": 'const password = "TestPass2031!";\n',
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


def test_many_values_under_one_name_are_a_table(engine: Engine) -> None:
    rows = "".join(f'{{"id": {number}, "token": "%{{alnum:3{number}}}"}},\n' for number in range(9))
    assert {match.confidence for match in scan(engine, rows)} == {Confidence.LOW}
    few = scan(engine, "".join(rows.splitlines(keepends=True)[:4]))
    assert len(few) == 4
    assert Confidence.LOW not in {match.confidence for match in few}
    one = "".join(f'login(password="Wint3r!Sale88") # {number}\n' for number in range(12))
    assert Confidence.LOW not in {match.confidence for match in scan(engine, one)}
    links = "".join(
        f"https://c.blob.core.windows.net/{number}?sv=2031-11-02&se=2031-01-01&sp=r&sig=%{{alnum:43}}%3D\n"
        for number in range(24)
    )
    assert {match.confidence for match in scan(engine, links)} == {Confidence.LOW}
    assert {match.confidence for match in scan(engine, links[: len(links) // 2])} == {Confidence.HIGH}
    script = 'function a(e){return e&&e.b||"";}var c=()=>{return 1};' * 20
    minified = scan(engine, f'{script}d={{apiKey:"%{{hex:32}}",e:1}};{script}')
    assert {match.confidence for match in minified} == {Confidence.LOW}
    names = "".join(f'SERVICE{chr(65 + number)}_TOKEN = "%{{alnum:3{number}}}"\n' for number in range(9))
    assert {match.confidence for match in scan(engine, names)} == {Confidence.HIGH}


@pytest.mark.parametrize(
    "line",
    [
        "service%d:\n  password: '%%{alnum:5}!%%{alnum:7}'\n",
        '{"client": %d, "client_secret": "%%{alnum:32}"},\n',
        "storage%d: AccountKey=%%{base64:86}==\n",
        "store%d = DefaultEndpointsProtocol=https;AccountName=orders;AccountKey=%%{base64:86}==\n",
    ],
)
def test_many_secrets_of_one_name_are_as_many_secrets(engine: Engine, line: str) -> None:
    one = scan(engine, line % 1)
    many = scan(engine, "".join(line % number for number in range(24)))
    assert len(many) == 24
    assert {match.confidence for match in many} == {match.confidence for match in one} != {Confidence.LOW}


def test_a_list_is_no_comment(engine: Engine) -> None:
    (found,) = scan(engine, 'int a; /* of\n * what */\nOrders:\n  * password: "Wint3r!Sale88"\n')
    assert not found.weak


def test_what_stands_between_two_labels_is_no_value(engine: Engine) -> None:
    assert not scan(engine, 'usernameLabel:"Username:",passwordLabel:"Password:",rememberMeLabel:"Remember me:"\n')
    assert not scan(engine, "x = {passwordLabel: 'Your password:', 'tokenHint': 'Enter it'}\n")
    assert scan(engine, 'x = {password:",R3memb3r!Sale:"}\n')
