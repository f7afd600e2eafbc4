"""What the types of Microsoft.App hold, by api-version: which properties a request may name and an answer shows.

Compact form of the official types (bicep-types-az, appcontainers 5.1) together with what recorded answers show and the
types leave out. One line a type:

    [-]Name: property property:Type property:Type[] property:#  ...

`-` marks a type that leaves null members out of answers; the others write them (traffic, section 3). After a property:
`:Type`, `:Type[]`, `:Type*` (a map of it) or `:#` (a number); `?` it is shown only when there is a value for the key;
`@2025-01-01` it exists from that version on; `~2024-08-02` it exists in previews from then on. A property with `~` and
no `@` is in no stable version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from migrator.simulator.apps.versions import since
from migrator.simulator.wire import Json, Response

TYPES = """
-ContainerApp: id name type location tags systemData:SystemData properties:Properties identity:Identity extendedLocation@2022-06-01 managedBy@2022-11-01 kind@2025-07-01~2024-02-02
-SystemData: createdBy createdByType createdAt lastModifiedBy lastModifiedByType lastModifiedAt
-Identity: type principalId tenantId userAssignedIdentities:UserAssignedIdentity*
-UserAssignedIdentity: principalId clientId
Properties: provisioningState runningStatus? deploymentErrors?~2024-08-02 managedEnvironmentId environmentId@2022-11-01 workloadProfileName@2022-11-01 patchingMode~2024-08-02 outboundIpAddresses latestRevisionName? latestReadyRevisionName?@2022-11-01 latestRevisionFqdn? customDomainVerificationId configuration:Configuration template:Template eventStreamEndpoint?@2022-11-01 delegatedIdentities?@2023-11-02 workloadProfileType? patchingConfiguration?~2025-10-02 networking?@2026-07-01
Configuration: secrets:Secret[] activeRevisionsMode targetLabel~2024-10-02 revisionTransitionThreshold:#~2024-10-02 ingress:Ingress registries:Registry[] dapr:Dapr runtime:Runtime@2025-01-01~2023-11-02 maxInactiveRevisions:#@2022-11-01 service:Service@2022-11-01 identitySettings:IdentitySetting[]@2025-01-01~2024-02-02
-Secret: name value identity@2022-11-01 keyVaultUrl@2022-11-01
Ingress: fqdn external:! targetPort:# exposedPort:#@2022-06-01 transport traffic:Traffic[] customDomains:CustomDomain[] allowInsecure:! ipSecurityRestrictions:IpRule[]@2022-11-01 corsPolicy:Cors@2022-11-01 clientCertificateMode@2022-11-01 stickySessions:Sticky@2022-11-01 additionalPortMappings:PortMapping[]@2024-03-01~2023-08-01 targetPortHttpScheme~2024-10-02
-Traffic: revisionName weight:# latestRevision:! label
-CustomDomain: name bindingType certificateId
-IpRule: name description ipAddressRange action
Cors: allowedOrigins allowedMethods allowedHeaders exposeHeaders maxAge:# allowCredentials:!
-Sticky: affinity
-PortMapping: external:! targetPort:# exposedPort:#
-Registry: server username passwordSecretRef identity
Dapr: enabled:! appId appProtocol appPort:# httpReadBufferSize:#@2022-11-01 httpMaxRequestSize:#@2022-11-01 logLevel@2022-11-01 enableApiLogging:!@2022-11-01 appHealth:DaprHealth@2025-07-01~2024-10-02 maxConcurrency:#@2025-07-01~2024-10-02
-DaprHealth: enabled:! path probeIntervalSeconds:# probeTimeoutMilliseconds:# threshold:#
Runtime: java:Java dotnet:Dotnet?~2024-10-02
-Java: enableMetrics:! javaAgent:JavaAgent~2024-02-02
-JavaAgent: enabled:! logging:JavaLogging
-JavaLogging: loggerSettings:JavaLogger[]
-JavaLogger: logger level
-Dotnet: autoConfigureDataProtection:!
-Service: type
-IdentitySetting: identity lifecycle
Template: revisionSuffix terminationGracePeriodSeconds:#@2022-11-01 containers:Container[] initContainers:InitContainer[]@2022-06-01 scale:Scale volumes:Volume[] serviceBinds:ServiceBind[]@2022-11-01 customMetricsSettings?~2025-10-02
-Container: image imageType~2024-08-02 name command args env:Env[] resources:Resources probes:Probe[] volumeMounts:VolumeMount[]
-InitContainer: image imageType~2024-08-02 name command args env:Env[] resources:Resources volumeMounts:VolumeMount[]
-Env: name value secretRef
-Resources: cpu:# memory ephemeralStorage gpu:#~2024-02-02
-Probe: failureThreshold:# httpGet:HttpGet initialDelaySeconds:# periodSeconds:# successThreshold:# tcpSocket:TcpSocket terminationGracePeriodSeconds:# timeoutSeconds:# type
-HttpGet: host httpHeaders:Header[] path port:# scheme
-Header: name value
-TcpSocket: host port:#
-VolumeMount: volumeName mountPath subPath@2023-05-01
Scale: minReplicas:# maxReplicas:# cooldownPeriod:#@2025-01-01~2024-08-02 pollingInterval:#@2025-01-01~2024-08-02 rules:ScaleRule[] allowScalingRuleOverride?@2026-07-01
-ScaleRule: name azureQueue:QueueRule custom:CustomRule http:MetadataRule tcp:MetadataRule@2022-11-01
-QueueRule: accountName@2025-01-01~2024-08-02 queueName queueLength:# auth:ScaleAuth[] identity@2025-01-01~2024-02-02
-CustomRule: type metadata auth:ScaleAuth[] identity@2025-01-01~2024-02-02
-MetadataRule: metadata auth:ScaleAuth[] identity@2025-01-01~2024-02-02
-ScaleAuth: secretRef triggerParameter
-Volume: name storageType storageName secrets:VolumeSecret[]@2022-11-01 mountOptions@2023-05-01
-VolumeSecret: secretRef path
-ServiceBind: serviceId name clientType~2023-11-02 customizedKeys~2023-11-02
-Revision: id name type properties:RevisionProperties
-RevisionProperties: createdTime lastActiveTime fqdn template:Template active replicas trafficWeight labels provisioningError healthState provisioningState runningState@2022-11-01 runningStateDetails@2022-11-01
-AuthConfig: id name type systemData:SystemData properties:AuthProperties
-AuthProperties: platform:AuthPlatform globalValidation:GlobalValidation identityProviders:IdentityProviders login:Login httpSettings:HttpSettings encryptionSettings:Encryption@2024-03-01~2024-02-02
-AuthPlatform: enabled:! runtimeVersion
-GlobalValidation: unauthenticatedClientAction redirectToProvider excludedPaths
-IdentityProviders: azureActiveDirectory:Aad facebook:Facebook gitHub:GitHub google:Google twitter:Twitter apple:Apple azureStaticWebApps:Apple customOpenIdConnectProviders:OpenId*
-Aad: enabled:! registration:AadRegistration login:AadLogin validation:AadValidation isAutoProvisioned:!
-AadRegistration: openIdIssuer clientId clientSecretSettingName clientSecretCertificateThumbprint clientSecretCertificateSubjectAlternativeName clientSecretCertificateIssuer
-AadLogin: loginParameters disableWWWAuthenticate:!
-AadValidation: jwtClaimChecks:JwtChecks allowedAudiences defaultAuthorizationPolicy:AuthPolicy
-JwtChecks: allowedGroups allowedClientApplications
-AuthPolicy: allowedPrincipals:AllowedPrincipals allowedApplications
-AllowedPrincipals: groups identities
-Facebook: enabled:! registration:FacebookRegistration graphApiVersion login:Scopes
-FacebookRegistration: appId appSecretSettingName
-Scopes: scopes
-ClientRegistration: clientId clientSecretSettingName
-GitHub: enabled:! registration:ClientRegistration login:Scopes
-Google: enabled:! registration:ClientRegistration login:Scopes validation:Audiences
-Audiences: allowedAudiences
-Twitter: enabled:! registration:TwitterRegistration
-TwitterRegistration: consumerKey consumerSecretSettingName
-Apple: enabled:! registration:ClientRegistration login:Scopes
-OpenId: enabled:! registration:OpenIdRegistration login:OpenIdLogin
-OpenIdRegistration: clientId clientCredential:OpenIdCredential openIdConnectConfiguration:OpenIdConfiguration
-OpenIdCredential: method clientSecretSettingName
-OpenIdConfiguration: authorizationEndpoint tokenEndpoint issuer certificationUri wellKnownOpenIdConfiguration
-OpenIdLogin: nameClaimType scopes
-Login: routes:LoginRoutes preserveUrlFragmentsForLogins:! allowedExternalRedirectUrls cookieExpiration:Cookie nonce:Nonce tokenStore:TokenStore@2024-03-01~2024-02-02
-LoginRoutes: logoutEndpoint
-Cookie: convention timeToExpiration
-Nonce: validateNonce:! nonceExpirationInterval
-TokenStore: enabled:! tokenRefreshExtensionHours:# azureBlobStorage:BlobStore
-BlobStore: sasUrlSettingName blobContainerUri@2026-07-01~2024-10-02 clientId@2026-07-01~2024-10-02 managedIdentityResourceId@2026-07-01~2024-10-02
-HttpSettings: requireHttps:! routes:HttpRoutes forwardProxy:ForwardProxy
-HttpRoutes: apiPrefix
-ForwardProxy: convention customHostHeaderName customProtoHeaderName
-Encryption: containerAppAuthEncryptionSecretName containerAppAuthSigningSecretName
-ManagedEnvironment: id name type location kind@2022-11-01 tags systemData:SystemData properties:EnvironmentProperties identity:Identity@2025-01-01~2023-05-02 sku? extendedLocation?
EnvironmentProperties: provisioningState daprAIInstrumentationKey daprAIConnectionString vnetConfiguration:Vnet deploymentErrors? defaultDomain privateLinkDefaultDomain?~2024-10-02 privateEndpointConnections?@2025-07-01~2024-10-02 staticIp? appLogsConfiguration:AppLogs openTelemetryConfiguration:OpenTelemetry@2026-07-01~2023-11-02 zoneRedundant:! availabilityZones~2025-02-02 kedaConfiguration:Component@2022-11-01 daprConfiguration:Component@2022-11-01 ingressConfiguration@2025-07-01~2025-02-02 eventStreamEndpoint@2022-11-01 customDomainConfiguration:EnvironmentDomain@2022-11-01 workloadProfiles:WorkloadProfile[]@2022-11-01 appInsightsConfiguration:AppInsights@2026-07-01~2023-11-02 infrastructureResourceGroup@2022-11-01 peerAuthentication:PeerAuthentication@2023-05-01 peerTrafficConfiguration:PeerTraffic@2024-03-01~2023-11-02 publicNetworkAccess@2025-07-01~2024-10-02 diskEncryptionConfiguration~2025-02-02 environmentMode?@2026-07-01~2026-03-02
Vnet: internal:! infrastructureSubnetId runtimeSubnetId? dockerBridgeCidr platformReservedCidr platformReservedDnsIP outboundSettings?
AppLogs: destination logAnalyticsConfiguration:LogAnalytics
LogAnalytics: customerId sharedKey dynamicJsonColumns:!~2023-11-02
OpenTelemetry: destinationsConfiguration:OtelDestinations tracesConfiguration logsConfiguration metricsConfiguration
-OtelDestinations: dataDogConfiguration:DataDog otlpConfigurations:Otlp[]
DataDog: site key
-Otlp: name endpoint insecure:! headers:OtlpHeader[]
OtlpHeader: key value
Component: version
EnvironmentDomain: customDomainVerificationId dnsSuffix certificateKeyVaultProperties@2025-01-01~2023-11-02 certificateValue certificatePassword thumbprint subjectName expirationDate
-WorkloadProfile: workloadProfileType name minimumCount:# maximumCount:# enableFips:!~2025-02-02
AppInsights: connectionString
PeerAuthentication: mtls:Mtls
Mtls: enabled:!
PeerTraffic: encryption:Mtls
"""


@dataclass(frozen=True, slots=True)
class Member:
    """One property of a type."""

    name: str
    kind: str
    """Name of its type; `#` number, `!` boolean, empty: any value."""
    many: bool
    keyed: bool
    optional: bool
    stable: str
    preview: str

    def known(self, version: str) -> bool:
        """Whether the property exists in an api-version."""
        return not (self.stable or self.preview) or since(version, self.stable, self.preview)


@dataclass(frozen=True, slots=True)
class Type:
    """One type: its members in the order of recorded answers."""

    name: str
    sparse: bool
    members: dict[str, Member]
    """By lower-case name: requests are read without case, as recorded (`"Name": "Consumption"`)."""


SCHEMA: dict[str, Type] = {}
_TOKEN = re.compile(r"(\w+)(?::(#|!|\w+)(\[\]|\*)?)?(\?)?(?:@([\d-]+))?(?:~([\d-]+))?")


def define(text: str) -> None:
    """Add types, in the form above; a provider with types of its own defines them where it is."""
    for line in text.strip().splitlines():
        head, _, rest = line.partition(":")
        members = {}
        for token in rest.split():
            match = _TOKEN.fullmatch(token)
            if match is None:
                raise ValueError(f"bad token {token!r}")
            name, kind, shape, optional, stable, preview = match.groups()
            members[name.lower()] = Member(
                name, kind or "", shape == "[]", shape == "*", bool(optional), stable or "", preview or ""
            )
        if head.lstrip("-") in SCHEMA:
            raise ValueError(f"type {head} is defined twice")
        SCHEMA[head.lstrip("-")] = Type(head.lstrip("-"), head.startswith("-"), members)


define(TYPES)


class UnknownPropertyError(Exception):
    """A request names a property that the type does not have in that api-version."""

    def __init__(self, kind: str, names: list[str], version: str) -> None:
        super().__init__(f"unknown properties {', '.join(names)} in {kind}")
        self.kind = kind
        self.names = names
        self.version = version

    def response(self, trace: str, headers: dict[str, str]) -> Response:
        """The refusal, which is no ARM error but ASP.NET's own (text: azure-container-apps#954, azurerm#25820)."""
        day = self.version.replace("-preview", "Preview").replace("-", "")
        view = f"Microsoft.ContainerApps.WebApi.Views.Version{day}.{_VIEWS.get(self.kind, self.kind)}"
        return Response(
            400,
            {
                "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
                "title": "One or more validation errors occurred.",
                "status": 400,
                "traceId": f"00-{trace}-{trace[:16]}-01",
                "errors": {"$": [f"Unknown properties {', '.join(self.names)} in {view} are not supported"]},
            },
            dict(headers),
        )


_VIEWS = {
    "Secret": "ContainerAppSecretView",
    "Ingress": "ContainerAppIngress",
    "ContainerApp": "VersionedContainerApp",
    "Properties": "VersionedContainerAppProperties",
    "Configuration": "ContainerAppConfiguration",
    "Template": "ContainerAppTemplate",
}
"""Names of the service's own classes where they differ; only the first two are known from quoted answers."""


class InvalidValueError(Exception):
    """A request gives a value of the wrong type."""


def accept(value: Any, kind: str, version: str) -> Any:
    """A request's value with the spelling of its members set right and numbers given as strings made numbers.

    Nulls stay: in a PATCH they delete.

    Raises:
        UnknownPropertyError: a member is not one of the type's in that api-version.
        InvalidValueError: an object, list, number or boolean is expected and something else is given.
    """
    if value is None or not kind:
        return value
    if kind == "#":
        return _number(value)
    if kind == "!":
        return _boolean(value)
    if not isinstance(value, dict):
        raise InvalidValueError(f"{kind}: an object is expected")
    found, unknown, result = SCHEMA[kind], [], {}
    for name, given in value.items():
        member = found.members.get(str(name).lower())
        if member is None or not member.known(version):
            unknown.append(str(name))
            continue
        result[member.name] = _accept_member(member, given, version)
    if unknown:
        raise UnknownPropertyError(kind, unknown, version)
    return result


def lenient(value: Any, kind: str) -> Any:
    """A value of a document that no service has checked: as `accept`, but what is unknown or does not fit stays."""
    if value is None or not kind:
        return value
    if kind in {"#", "!"}:
        try:
            return accept(value, kind, "")
        except InvalidValueError:
            return value
    if not isinstance(value, dict):
        return value
    result = {}
    for name, given in value.items():
        member = SCHEMA[kind].members.get(str(name).lower())
        if member is None:
            result[name] = given
        elif member.many and isinstance(given, list):
            result[member.name] = [lenient(item, member.kind) for item in given]
        elif member.keyed and isinstance(given, dict):
            result[member.name] = {key: lenient(item, member.kind) for key, item in given.items()}
        else:
            result[member.name] = given if member.many or member.keyed else lenient(given, member.kind)
    return result


def _accept_member(member: Member, given: Any, version: str) -> Any:
    if given is None:
        return None
    if member.many:
        if not isinstance(given, list):
            raise InvalidValueError(f"{member.name}: a list is expected")
        return [accept(item, member.kind, version) for item in given]
    if member.keyed:
        if not isinstance(given, dict):
            raise InvalidValueError(f"{member.name}: an object is expected")
        return {key: accept(item, member.kind, version) for key, item in given.items()}
    return accept(given, member.kind, version)


def _number(value: Any) -> int | float:
    if isinstance(value, bool):
        raise InvalidValueError("a number is expected")
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value) if "." in str(value) else int(value)
    except (TypeError, ValueError) as error:
        raise InvalidValueError("a number is expected") from error


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise InvalidValueError("true or false is expected")


def show(value: Any, kind: str, version: str) -> Any:
    """A stored value as an api-version shows it: its properties only, nulls written or left out by the type's habit."""
    if not isinstance(value, dict) or kind in {"", "#", "!"}:
        return value
    result: Json = {}
    for member in _visible(kind, version):
        if member.name not in value:
            if not SCHEMA[kind].sparse and not member.optional:
                result[member.name] = None
            continue
        given = value[member.name]
        if given is None and SCHEMA[kind].sparse:
            continue
        if member.many and isinstance(given, list):
            given = [show(item, member.kind, version) for item in given]
        elif member.keyed and isinstance(given, dict):
            given = {key: show(item, member.kind, version) for key, item in given.items()}
        else:
            given = show(given, member.kind, version)
        result[member.name] = given
    return result


@lru_cache(maxsize=4096)
def _visible(kind: str, version: str) -> tuple[Member, ...]:
    return tuple(member for member in SCHEMA[kind].members.values() if member.known(version))
