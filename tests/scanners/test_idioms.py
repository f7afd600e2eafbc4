"""How people write secrets down, file by file: every line that holds one is found, and no other.

In the texts `<<...>>` is a value, and `@` a password of the same kind everywhere; shapes are those of
`scanners.examples`. Lines with neither hold no secret.
"""

from __future__ import annotations

import re

import pytest

from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Confidence
from scanners.positions import Lines

IDIOMS = {
    "appsettings.json": """
{
  "ConnectionStrings": { "Default": "Server=db;Database=orders;User Id=sa;Password=<<@>>;" },
  "ConnectionStrings__Redis": "cache:6380,password=<<@>>,ssl=True",
  "Jwt": { "Key": "<<%{alnum:48}>>", "Issuer": "contoso" },
  "AzureAd": {
    "TenantId": "%{guid}",
    "ClientId": "%{guid}",
    "ClientSecret": "<<%{entra}>>"
  },
  "Smtp": { "Host": "smtp.contoso.net", "Password": "<<@>>" },
  "KeyVault": { "Url": "https://contoso.vault.azure.net/" },
  "Storage": "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/storage)"
}""",
    "web.config": """
<add name="Default" connectionString="Server=db;Database=orders;User Id=sa;Password=<<@>>" />
<add key="ApiToken" value="<<%{alnum:32}>>" />
<add key="TokenUrl" value="https://login.contoso.net/token" />""",
    "application.yml": """
spring:
  datasource:
    url: jdbc:postgresql://db:5432/orders
    username: orders
    password: <<@>>
  cloud:
    azure:
      storage:
        account-key: <<%{base64:86}==>>
app:
  jwt-secret: "<<%{hex:64}>>"
  secret-name: orders-jwt""",
    "application.properties": """
spring.datasource.password=<<@>>
spring.data.mongodb.uri=mongodb://orders:<<%{alnum:14}>>@db:27017/orders
azure.client-secret=<<%{entra}>>
azure.client-id=%{guid}
spring.rabbitmq.password=${RABBITMQ_PASSWORD}""",
    "App.java": """
@Value("${db.password:<<@>>}") String password;
private static final String DB_PASSWORD = "<<@>>";
DriverManager.getConnection("jdbc:postgresql://db/orders", "orders", "<<@>>");
String token = System.getenv("API_TOKEN");""",
    "settings.py": """
SECRET_KEY = 'django-insecure-<<%{alnum:40}>>'
DATABASES = {'default': {'USER': 'orders', 'PASSWORD': '<<@>>'}}
password = os.environ.get("DB_PASSWORD", "<<@>>")
password = os.getenv("DB_PASSWORD") or "<<@>>"
secret_key: str = "<<%{hex:64}>>"
client = SearchClient(endpoint, index, AzureKeyCredential("<<%{alnum:52}>>"))
connection = psycopg2.connect(host="db", user="orders", password="<<@>>")
api_key = os.environ["API_KEY"]
password = getpass.getpass("Password: ")""",
    "config.js": """
module.exports = { db: { password: '<<@>>' }, apiKey: process.env.API_KEY };
const password = process.env.DB_PASSWORD || '<<@>>';
const secret: string = "<<%{hex:32}>>";
const pool = new Pool({ connectionString: 'postgres://orders:<<%{alnum:14}>>@db/orders' });
jwt.sign(payload, "<<%{alnum:32}>>");
if (!password) throw new Error('Password is required');""",
    "Seed.cs": """
await userManager.CreateAsync(admin, "<<@>>");
var (hash, salt) = passwordHasher.HashPassword("<<@>>");
await userManager.CreateAsync(user, input.Password);
await roleManager.CreateAsync(new IdentityRole("Administrator"));""",
    ".env": """
DB_PASSWORD=<<@>>
API_KEY="<<%{hex:32}>>"
ConnectionStrings__Orders=Server=db;User Id=sa;Password=<<@>>;
AZURE_CLIENT_ID=%{guid}
REDIS_PASSWORD=
SMTP_PASSWORD=<your-password>""",
    ".azure/dev/.env": """
AZURE_ENV_NAME="dev"
AZURE_SUBSCRIPTION_ID="%{guid}"
AZURE_OPENAI_API_KEY="<<%{hex:32}>>"
AZURE_KEY_VAULT_ENDPOINT="https://contoso.vault.azure.net/"
POSTGRES_PASSWORD="<<@>>" """,
    "compose.yaml": """
services:
  db:
    environment:
      POSTGRES_PASSWORD: <<@>>
      POSTGRES_USER: orders
  api:
    environment:
      - SA_PASSWORD=${SA_PASSWORD:-<<@>>}
      - DB_PASSWORD=${DB_PASSWORD:-<<orders_password>>}
      - MQ_PASSWORD=<<@>>
      - TOKEN=${TOKEN}
      - STORE_SECRET_NAME=orders
    command: redis-server --requirepass <<@>>""",
    "values.yaml": """
postgresql:
  auth:
    existingSecret: orders-db
    password: <<@>>
    postgresPassword: "<<@>>"
    secretKeys:
      adminPasswordKey: postgres-password""",
    "secret.yaml": """
apiVersion: v1
kind: Secret
metadata: {name: db}
data:
  username: YWRtaW4=
  password: <<%{base64of:Wq7!mRz4pLk2}>>
stringData:
  token: <<%{alnum:32}>>""",
    "main.bicep": """
@secure()
param adminPassword string = '<<@>>'
param registryPasswordSecretName string = 'registry-password'
var roleId = '4633458b-17de-408a-b874-0445c86b69e6'
resource app 'Microsoft.App/containerApps@2024-03-01' = {
  properties: {
    configuration: {
      secrets: [
        { name: 'db-password', value: '<<@>>' }
        { name: 'queue-key', value: queueKey }
        { name: 'registry-password', value: registry.listCredentials().passwords[0].value }
      ]
      registries: [ { server: 'contoso.azurecr.io', passwordSecretRef: 'registry-password' } ]
    }
    template: { containers: [ { env: [
      {
        name: 'DB_PASSWORD'
        value: '<<@>>'
      }
      { name: 'QUEUE_KEY', secretRef: 'queue-key' }
    ] } ] }
  }
}
module db 'db.bicep' = { params: { administratorLoginPassword: adminPassword } }""",
    "main.bicepparam": """
using 'main.bicep'
param adminPassword = '<<@>>'
param sqlPassword = readEnvironmentVariable('SQL_PASSWORD', '<<@>>')
param apiKey = az.getSecret('sub', 'rg', 'kv', 'api-key')""",
    "main.parameters.json": """
{ "parameters": {
  "adminPassword": { "value": "<<@>>" },
  "sqlPassword": {
    "value": "<<@>>"
  },
  "queuePassword": { "value": "${QUEUE_PASSWORD}" },
  "apiKey": { "reference": { "keyVault": { "id": "/subscriptions/x" }, "secretName": "api-key" } }
} }""",
    "main.tf": """
variable "db_password" {
  type        = string
  description = "The password of the database"
  sensitive   = true
  default     = "<<@>>"
}
resource "azurerm_container_app" "orders" {
  secret {
    name  = "db-password"
    value = "<<@>>"
  }
  secret {
    name  = "queue-key"
    value = azurerm_storage_account.orders.primary_access_key
  }
  registry {
    password_secret_name = "registry-password"
  }
  administrator_login_password = "<<@>>"
  admin_password               = var.db_password
}""",
    "prod.tfvars": """
db_password     = "<<@>>"
subscription_id = "%{guid}"
""",
    ".github/workflows/deploy.yml": """
env:
  DB_PASSWORD: <<@>>
  API_KEY: ${{ secrets.API_KEY }}
steps:
  - run: az login --service-principal -u app -p <<%{entra}>> --tenant contoso
  - run: az containerapp create -n a --secrets "db-password=<<@>>"
  - run: az containerapp update --set-env-vars DB_PASSWORD=<<@>> QUEUE=secretref:queue-key
  - uses: docker/login-action@v3
    with:
      username: app
      password: <<@>>""",
    "azure-pipelines.yml": """
variables:
  dbPassword: <<@>>
  - name: sqlPassword
    value: <<@>>
  - name: queueKey
    value: $(queueKeyFromVault)
steps:
  - script: ./deploy
    env:
      DB_PASSWORD: $(dbPassword)""",
    "AppHost.cs": """
var password = builder.AddParameter("pgpass", "<<@>>", secret: true);
var fromUser = builder.AddParameter("sql-password", secret: true);
builder.AddContainer("db", "postgres").WithEnvironment("POSTGRES_PASSWORD", "<<@>>");
builder.AddContainer("x", "y").WithEnvironment("POSTGRES_PASSWORD", password);""",
    "apphost/appsettings.json": """
{ "Parameters": { "sql-password": "<<@>>" } }""",
    "deploy.ps1": """
$env:DB_PASSWORD = "<<@>>"
$password = ConvertTo-SecureString "<<@>>" -AsPlainText -Force
$other = ConvertTo-SecureString $env:PASSWORD -AsPlainText -Force
[Environment]::SetEnvironmentVariable("DB_PASSWORD", "<<@>>")
New-AzContainerAppSecretObject -Name "db-password" -Value "<<@>>"
$secret = Get-AzKeyVaultSecret -VaultName contoso -Name db-password""",
    "deploy.sh": """
export DB_PASSWORD=<<@>>
DB_PASSWORD="<<@>>" ./run
curl -u app:<<@>> https://contoso.net/orders
curl -H "Authorization: Bearer <<%{alnum:40}>>" https://contoso.net
curl -H 'X-Api-Key: <<%{hex:32}>>' https://contoso.net
curl https://app:<<%{alnum:14}>>@contoso.net/orders
sqlcmd -S db -U sa -P <<@>> -Q 'select 1'
psql "host=db user=orders password=<<@>> dbname=orders"
PGPASSWORD=<<@>> psql -h db
mysql -uroot -p<<@>> orders
rabbitmqctl change_password app <<@>>
az containerapp secret set -n app -g rg --secrets "db=<<@>>"
az containerapp registry set --server contoso.azurecr.io --username app --password <<%{key:container-registry:ACRDflt0}>>
az sql server create --admin-user sa --admin-password <<@>>
az keyvault secret set --vault-name contoso --name db-password --value "<<@>>"
docker login contoso.azurecr.io -u app -p <<@>>
echo <<@>> | docker login -u app --password-stdin
azd env set DB_PASSWORD <<@>>
dotnet user-secrets set "Db:Password" "<<@>>"
helm upgrade orders --set auth.password=<<@>>
kubectl create secret generic db --from-literal=password=<<@>>
az login --service-principal -u "$APP" -p "$PASSWORD" --tenant "$TENANT"
docker login -u app -p "$ACR_PASSWORD"
az acr credential show --name contoso --query "passwords[0].value\"""",
    "dapr.yaml": """
spec:
  type: bindings.postgresql
  metadata:
  - name: connectionString
    value: "host=db user=orders password=<<@>> dbname=orders"
  - name: clientSecret
    value: <<%{alnum:32}>>
  - name: redisPassword
    value: "<<@>>"
  - name: host
    value: amqp://app:<<%{alnum:14}>>@52.0.0.7:5672
  - name: accountKey
    secretKeyRef:
      name: account-key
      key: account-key
  secretStore: orders-store""",
    "app.yaml": """
properties:
  configuration:
    secrets:
      - name: db-password
        value: <<@>>
      - value: <<@>>
        name: api-token
      - name: queue-key
        keyVaultUrl: https://contoso.vault.azure.net/secrets/queue-key
  template:
    containers:
      - env:
          - name: DB_PASSWORD
            value: '<<@>>'
          - name: QUEUE_KEY
            secretRef: queue-key""",
    "app.json": """
{"secrets":[{"name":"db-password","value":"<<@>>"}, {"name":"queue-key"}],
 "env": [{
   "name": "API_TOKEN",
   "value": "<<%{hex:32}>>"
 }, {"name": "QUEUE_KEY", "secretRef": "queue-key"}]}""",
    "main.go": """
dsn := "root:<<@>>@tcp(db:3306)/orders?parseTime=true"
db, _ := sql.Open("pgx", "host=db port=5432 user=orders password=<<@>> dbname=orders")
url := "pgx://orders:<<pa%40ss%21%{alnum:6}>>@db/orders"
bus := "contoso+bus://svc:<<Zx9%23kL2mQ>>@bus.contoso.net/orders"
token := os.Getenv("TOKEN")""",
    "keys.jwk": """
{"kty":"RSA","n":"%{base64url:342}","e":"AQAB","d":"<<%{base64url:342}>>"}
{"kty":"RSA","n":"%{base64url:342}","e":"AQAB"}""",
    "schema.sql": """
CREATE USER orders WITH PASSWORD '<<@>>';
CREATE LOGIN orders WITH PASSWORD = N'<<@>>';
CREATE USER 'orders'@'%' IDENTIFIED BY '<<@>>';
CREATE USER [app] FROM EXTERNAL PROVIDER;""",
    "Dockerfile": """
ENV SA_PASSWORD=<<@>>
ENV MQ_PASSWORD <<@>>
ARG API_TOKEN=<<%{alnum:36}>>
RUN echo "sa:<<@>>" | chpasswd
ENV TOKEN_PATH=/run/secrets/token""",
    "Makefile": """
DB_URL ?= pgx://orders:<<pa%40ss%21%{alnum:6}>>@db/orders
DB_PASSWORD := <<@>>
TOKEN := $(shell cat token)""",
    "encoded.txt": """
settings: <<%{base64of:DB_PASSWORD=Wq7!mRz4pLk2xx}>>
body: "{\\"password\\": \\"<<@>>\\"}"
link: https%3A%2F%2Fx.net%2F%3Fc%3DServer%253Ddb%253BUser%2520Id%253Dsa%253BPassword%253D<<Wq7mRz4pLk2x>>%253B""",
}


@pytest.mark.parametrize("name", IDIOMS)
def test_every_line_with_a_secret_is_found_and_no_other(name: str, engine: Engine) -> None:
    lines = IDIOMS[name].lstrip("\n").replace("<<@>>", "<<Wq7!mRz4pLk2>>").split("\n")
    expected = {number for number, line in enumerate(lines, 1) if "<<" in line}
    data = expand("\n".join(re.sub(r"<<(.*?)>>", r"\1", line) for line in lines)).encode()
    places = Lines(data)
    found = engine.matches(data)
    assert {places.at(match.start)[0] for match in found} == expected
    assert not [match.rule for match in found if match.weak or match.confidence is Confidence.LOW]
