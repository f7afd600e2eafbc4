"""Spring Cloud Azure: starters bind properties, and take an endpoint or a name where there was a key.

Sources: learn.microsoft.com/azure/developer/java/spring-framework/authentication, service-connector pages. Variables bind
relaxed: upper case, dots as `_`, dashes dropped.
"""

from __future__ import annotations

from migrator.passwordless.cases import Case, Change, Verdict, shown, signing_in

_SECRETS = {
    "SPRING_CLOUD_AZURE_STORAGE_BLOB_ACCOUNTKEY": "storage-blob",
    "SPRING_CLOUD_AZURE_STORAGE_BLOB_CONNECTIONSTRING": "storage-blob",
    "SPRING_CLOUD_AZURE_STORAGE_BLOB_SASTOKEN": "storage-blob",
    "SPRING_CLOUD_AZURE_SERVICEBUS_CONNECTIONSTRING": "service-bus",
    "SPRING_CLOUD_AZURE_EVENTHUBS_CONNECTIONSTRING": "event-hubs",
    "SPRING_CLOUD_AZURE_COSMOS_KEY": "cosmos",
    "SPRING_JMS_SERVICEBUS_CONNECTIONSTRING": "service-bus",
    "SPRING_DATASOURCE_PASSWORD": "",
    "SPRING_DATA_REDIS_PASSWORD": "redis",
}
_STARTERS = {
    "SPRING_CLOUD_AZURE_STORAGE_BLOB": "spring-cloud-azure-starter-storage",
    "SPRING_CLOUD_AZURE_SERVICEBUS": "spring-cloud-azure-starter",
    "SPRING_CLOUD_AZURE_EVENTHUBS": "spring-cloud-azure-starter-eventhubs",
    "SPRING_CLOUD_AZURE_COSMOS": "spring-cloud-azure-starter",
    "SPRING_JMS_SERVICEBUS": "spring-cloud-azure-starter-servicebus-jms",
    "SPRING_DATASOURCE": "spring-cloud-azure-starter-jdbc",
    "SPRING_DATA_REDIS": "spring-cloud-azure-starter-data-redis-lettuce",
}

_JDBC = "SPRING_DATASOURCE"
_UNSURE = {
    "SPRING_JMS_SERVICEBUS": (
        "the properties of Service Bus JMS without a key were not checked against a running app",
    ),
    "SPRING_DATASOURCE": ("a principal of the database must be made first",),
    "SPRING_DATA_REDIS": (
        "the user name must be the identity's object id, and the cache's other settings stay as they are",
    ),
}
"""Why keylift leaves the step to a person."""


class Spring:
    """A starter of Spring Cloud Azure, and a property that holds its key."""

    def judge(self, case: Case) -> Verdict | None:
        name = case.name.upper().replace("-", "")
        code = case.evidence.code
        if name not in _SECRETS or code is None:
            return None
        stem = next(stem for stem in _STARTERS if name.startswith(stem))
        sql = stem == _JDBC and case.service.id == "sql"
        # a driver of SQL Server signs in by itself, with azure-identity beside it; the others need the starter of their own
        wanted = "azure-identity" if sql else _STARTERS[stem] + (f"-{case.service.id}" if stem == _JDBC else "")
        starters = code.has(wanted)
        fails = [] if starters else [f"no {wanted} is among the dependencies"]
        fails += [f"{name} {code.packages[name]} is of Spring Boot 2, whose properties have other names"
                  for name in code.has("spring-cloud-azure") if code.packages[name].startswith(("3.", "4."))]  # fmt: skip
        written = [sight for key, sights in code.names.items() if key.startswith("spring-secret:") for sight in sights]
        if written:
            fails.append(f"the property is written in configuration, too ({shown(written)})")
        if code.constructors:
            built = [sight for sight in code.constructors if sight.path.endswith((".java", ".kt"))]
            fails += [f"a client is built by hand ({shown(built)})"] if built else []
        holds = (f"{', '.join(starters)} binds {case.name}",) if starters else ()
        return Verdict(
            "Spring Cloud Azure",
            holds=holds,
            fails=tuple(fails),
            changes=self._sql(case)
            if sql
            else (Change("remove", case.name), *self._after(case, stem), *self._credential(case)),
            at_service=_SECRETS[name],
            # these set the credential of every Spring Cloud Azure client
            stays=(*signing_in(case), *_UNSURE.get(stem, ())),
        )

    def _sql(self, case: Case) -> tuple[Change, ...]:
        url = next((str(v) for n, v in case.evidence.env.items() if n.upper() == "SPRING_DATASOURCE_URL" and v), "")
        url = url or f"jdbc:sqlserver://{case.pointer.host}:1433"
        client = f"msiClientId={case.client_id};" if case.client_id else ""
        return (
            Change("remove", case.name),
            Change("remove", "SPRING_DATASOURCE_USERNAME"),
            Change("set", "SPRING_DATASOURCE_URL", f"{url.rstrip(';')};authentication=ActiveDirectoryMSI;{client}"),
        )

    def _after(self, case: Case, stem: str) -> tuple[Change, ...]:
        after = {
            "SPRING_CLOUD_AZURE_STORAGE_BLOB": (("ACCOUNTNAME", case.pointer.name),),
            "SPRING_CLOUD_AZURE_SERVICEBUS": (("NAMESPACE", case.pointer.name),),
            "SPRING_CLOUD_AZURE_EVENTHUBS": (("NAMESPACE", case.pointer.name),),
            "SPRING_CLOUD_AZURE_COSMOS": (("ENDPOINT", f"https://{case.pointer.host}:443/"),),
            "SPRING_JMS_SERVICEBUS": (("NAMESPACE", case.pointer.name), ("PASSWORDLESSENABLED", "true")),
            "SPRING_DATASOURCE": (("AZURE_PASSWORDLESSENABLED", "true"),),
            "SPRING_DATA_REDIS": (("AZURE_PASSWORDLESSENABLED", "true"), ("SSL_ENABLED", "true")),
        }
        return tuple(Change("set", f"{stem}_{key}", value) for key, value in after[stem])

    def _credential(self, case: Case) -> tuple[Change, ...]:
        enabled = Change("set", "SPRING_CLOUD_AZURE_CREDENTIAL_MANAGEDIDENTITYENABLED", "true")
        if not case.client_id:
            return (enabled,)
        return enabled, Change("set", "SPRING_CLOUD_AZURE_CREDENTIAL_CLIENTID", case.client_id)


CLIENT = Spring()
