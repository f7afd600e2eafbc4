"""Which parameters a KEDA scaler takes by `auth`, and which of them it reads in a rule's metadata as well.

Of each scaler's page at keda.sh/docs/2.18/scalers, section "Authentication Parameters", and of the order in which
kedacore/keda reads them (`pkg/scalers`, field tags). Names are those of `type` in a rule. Only parameters that hold keys,
or addresses with a login in them, are of interest here.
"""

from __future__ import annotations

_BOTH = """
activemq: username password
artemis-queue: username password
azure-blob: connection
azure-log-analytics: clientSecret
azure-monitor: activeDirectoryClientPassword
azure-queue: connection
couchdb: connectionString username password
elasticsearch: username password apiKey
ibmmq: username password
metrics-api: apiKey
mongodb: connectionString username password
mssql: username
mysql: username
new-relic: queryKey
opensearch: username password clientKey
postgresql: userName
rabbitmq: host
redis redis-streams redis-cluster redis-cluster-streams: username password
redis-sentinel redis-sentinel-streams: username password sentinelUsername sentinelPassword
selenium-grid: url
solace-event-queue: username password
solr: username password
"""
_AUTH_ONLY = """
apache-kafka kafka: username password key keyPassword sasl
azure-app-insights: activeDirectoryClientPassword
azure-data-explorer: clientSecret
azure-eventhub: connection storageConnection
azure-pipelines: personalAccessToken
azure-servicebus: connection
cassandra: password key
datadog: apiKey appKey
dynatrace: token
etcd: username password key
external external-push: tlsClientKey
github-runner: personalAccessToken appKey
graphite: username password
influxdb: authToken
metrics-api: password token key clientSecret
mssql: connectionString password
mysql: connectionString password
postgresql: connection password
predictkube: apiKey
rabbitmq: username password key keyPassword
selenium-grid: username password accessToken
splunk: apiToken password
splunk-observability: accessToken
sumologic: accessKey
temporal: apiKey key
"""


def _table(text: str, *, read: bool) -> dict[tuple[str, str], bool]:
    found: dict[tuple[str, str], bool] = {}
    for line in text.strip().splitlines():
        types, _, names = line.partition(":")
        found |= {(kind, name): read for kind in types.split() for name in names.split()}
    return found


_PARAMETERS = _table(_AUTH_ONLY, read=False) | _table(_BOTH, read=True)
_KNOWN = {kind for kind, _ in _PARAMETERS}


def known(kind: str) -> bool:
    """Whether anything is known of a scaler."""
    return kind.lower() in _KNOWN


def takes(kind: str, parameter: str) -> bool:
    """Whether a scaler takes a parameter by `auth`, under the name it has in metadata."""
    return (kind.lower(), parameter) in _PARAMETERS


def reads_metadata(kind: str, parameter: str) -> bool:
    """Whether it reads the parameter in metadata, too: then it gets by `auth` what it had; else it had nothing so far."""
    return _PARAMETERS.get((kind.lower(), parameter), False)
