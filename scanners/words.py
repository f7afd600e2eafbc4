"""Words that names and values are judged by."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set: lists of words read best as text."""
    return frozenset(text.split())


WELL_KNOWN = words(
    """
    1234 12345 123456 1234567 12345678 123456789 abc123 admin admin123 administrator changeit demo elastic foobared
    grafana guest guest123 hunter2 letmein master minio minioadmin mongo mysql p@ssw0rd p@ssword pass@word1 passw0rd
    password1 password123 postgres postgres123 postgrespw qwerty rabbitmq redis root root123 sa system test
    test123 test1234 teste tester testing toor user welcome
    """
)
"""Passwords that everybody knows: real, and worth nothing as a secret."""

ACCOUNTS = words(
    """
    access account admin administrator api app archive auth basic bind broker cert certificate client database db default dev email
    export ftp gmail guest http https imap jdbc jks key keystore ldap login mail manager mariadb master mongo mongodb mq mqtt ms
    mssql my mysql new old oracle os p12 pfx pg pgsql postgres prod proxy rabbit rabbitmq rdp redis registry replica root router
    sa samba server service sftp sign signing smb smtp snmp sql ssh store sudo super superuser svc sys system tomcat trust
    truststore user username vnc vpn web wifi win wp zip
    """
)
"""Words before `pass` that make it a password; otherwise it is as often the outcome of a test."""

SECRET_WORDS = words(
    """
    access account admin api apikey app auth client connection credential credentials database db key keys my
    name pass passwd password private pwd secret secrets shared str string the token tokens user value
    """
)
"""Words that say "secret" and no more: a value made of them alone names itself."""

NOISE = words(
    """
    b base current default dev development enc encoded env hex live local main my new next old plain previous
    primary prod production qa raw read readonly readwrite ro rw sandbox secondary stage staging stg str string
    test testing text uat v val value version1 write
    """
)
"""Words after the telling one that change nothing: `API_KEY_PROD`, `password_1`, `tokenBase64`."""

INNOCENT_TAILS = words(
    """
    account age alg algorithm algorithms allowed app application arn attempts audience bits bucket budget
    builder bytes change changed characters chars class client column complexity container cookie cost count
    counter counts customer days description digest dir directory disabled domain duration email enable enabled
    encoder endpoint endpoints error errors expiration expire expired expires expiry factory field fields file
    filename files fingerprint fpr folder form format formats get group handler has hash hashed hasher header
    headers helper hint host hostname hosts hours id ids index info input interval invalid is issuer iterations
    key_id keyid kid kind label labels len length lifetime limit limits location mail manager max message
    metadata min minutes mode model mount ms name names namespace optional owner page path paths pattern per
    permission permissions placeholder policies policy port prefix project provider providers queue ref
    reference references refs regex region required reset resets resolver resource retries role roles rotation
    rounds rule rules schema sha md checksum scope scopes sec seconds server service set should size source state stats status
    store strength subscription suffix table tenant thumbprint timeout title topic ttl type types uri uris url
    urls usage use user username usernames users using util utils validation validator vault vaults version
    versions volume window
    """
)
"""Last words that make the value something about a secret, not a secret."""

SECRET_KEYS = words(
    """
    access account admin api app auth client cryption crypto decryption encryption function functions gateway hmac host jwt
    license licence management master ocp private secret security server service shared signing storage subscription webhook
    """
)
"""Words before `key` that make it one that opens something, even where it looks like an id."""

INNOCENT_KEYS = words(
    """
    alias arrow asset attribute authorized binding blob build cache candidate cert certificate chart column component composite
    config configuration dedup deduplication dict dictionary did document entity enum error event feature field file filter
    foreign group hash header hot i18n id idempotency image index item json kms known label lang language lookup locale lock map menu
    message meta metadata method model natural node object option order param parameter partition permission plan property pub
    public publishable pusher query range rate record recv registry resource role route routing row schema section session_id
    setting settings short site sort sorting span state step storage_path surrogate tag theme topic trace translation unique
    variable view x
    """
)
"""Words before `key` that make it no secret key."""

STAND_INS = words(
    """
    * - -- ... _ abc absent access-key access-token access_key access_token accesskey accesstoken any anything
    api-key api_key apikey array auth-token auth_token authtoken auto bar basic baz bearer bool boolean
    change-me change_me changeit changeme client-secret client_secret clientsecret connection-string
    connection_string connectionstring credential credentials default deleted disabled dummy dynamic empty
    enabled encrypted example fake hashed false fixme foo foobar foobarbaz generated hidden int key keys masked missing
    my-key my-password my-secret my-token my_password my_secret myapikey mykey mypassword mysecret mytoken n/a
    na nil no none not-set not_set notset null number object off on optional pass passphrase passw0rd passwd
    password placeholder pwd random redacted redacted> removed required sample secret secret-key secret-value
    secret_key secret_value secretkey secrets secretvalue some-secret some-value somesecret somevalue str string
    tbd test-value testvalue text todo token tokens true type undefined unknown unset user username value
    clave contrasena contraseña kennwort motdepasse opcional parola passwort secreto segredo senha wachtwoord
    whatever xxx xxxx yes yourkey yourpassword yoursecret yourtoken …
    """
)
"""Values that stand for a value, whole."""


INNOCENT_TOKENS = words(
    """
    antiforgery assembly manifest authenticity bos cancellation cancel color completion continuation csrf cursor delimiter design
    eos input keyword mask max min next operator output pad page pagination parse parser prompt public publishable
    request requestverification resume skip special stop sync syntax template theme verification word xsrf
    """
)
"""Words before `token` that make it no secret."""
