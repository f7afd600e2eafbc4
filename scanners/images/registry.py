"""Images in registries, over the OCI distribution API: https, verified, resumed where a pull breaks off.

Source: OCI distribution specification 1.1 (pull), Docker's token authentication (distribution.github.io, spec/auth).
A registry's answers are not trusted: sizes are bounded, digests checked, credentials never sent to another host.
"""

from __future__ import annotations

import email.utils
import hashlib
import ipaddress
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from scanners.images.auth import DockerConfig, Login
from scanners.images.errors import PULL_AGAIN, BlobError, ImageError
from scanners.images.limits import MIB, Limits
from scanners.images.manifests import ACCEPTED, Blob, Image, images
from scanners.images.reference import Reference
from scanners.images.streams import Reader
from scanners.model import reveal

if TYPE_CHECKING:
    import urllib3

_TRIES = 6
_REDIRECTS = 5
_LONGEST_WAIT = 120.0
_ANSWER = 256 * 1024
"""Bytes of an answer of a token server, and of an error that is read for its reason."""
_CONNECT, _READ = 20.0, 60.0
_PARAMETER = re.compile(r'([a-zA-Z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_PASSING = frozenset({408, 429, 500, 502, 503, 504})

Credentials = Callable[[str], "Login | None"]
"""A login for a server (`host[:port]`), or None."""


class RegistryError(ImageError):
    """A registry refused or failed."""

    def __init__(self, what: str, *, why: str = "", hint: str, status: int = 0) -> None:
        """Keep the parts; `status` is the last answer's, 0 when there was none."""
        super().__init__(what, why=why, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """How registries are reached."""

    credentials: Credentials | None = None
    """Asked before Docker's configuration."""
    docker: DockerConfig | None = None
    ca_file: Path | None = None
    """Certificate authorities to trust besides the usual ones."""
    plain_http: bool = False
    """Without TLS everywhere; this machine itself is always tried without when it does not speak it."""
    sleep: Callable[[float], None] = time.sleep

    def login(self, server: str) -> Login | None:
        """The login for a server, from the caller or from Docker's configuration."""
        found = self.credentials(server) if self.credentials else None
        return found or (self.docker or DockerConfig()).login(server)


@dataclass(slots=True)
class _Tokens:
    """What one registry let us in with."""

    headers: dict[str, str] = field(default_factory=dict)
    ends: float = 0.0


class Registry:
    """One image's repository in a registry. Safe in many threads."""

    def __init__(self, reference: Reference, access: Access, limits: Limits) -> None:
        """Nothing is sent yet."""
        self.reference = reference
        self.name = str(reference)
        self._access = access
        self._limits = limits
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager | None = None
        self._scheme = "http" if access.plain_http else "https"
        self._tokens: _Tokens | None = None
        self._login: Login | None = None
        self._asked_login = False

    # What a store does

    def images(self, platform: str | None, told: Callable[[str, ImageError], None]) -> list[Image]:
        """The images that the reference stands for.

        Raises:
            ImageError: there are none, or the registry does not give them.
        """
        data, digest = self._manifest(self.reference.wanted, self.reference.digest)
        return list(
            images(
                self.name,
                data,
                digest,
                lambda blob: self._manifest(blob.name, blob.digest)[0],
                platform,
                self._limits,
                told,
            )
        )

    def small(self, blob: Blob, most: int) -> bytes:
        """A blob that is held whole, verified.

        Raises:
            ImageError: it is missing, too large, or not what its digest says.
        """
        parts, have = [], 0
        with self.open(blob) as reader:
            while data := reader.read(MIB):
                have += len(data)
                if have > most:
                    raise BlobError(
                        f"{blob.name} is larger than {most // MIB} MiB", why="no honest one is", hint=PULL_AGAIN
                    )
                parts.append(data)
        found = b"".join(parts)
        _check(found, blob.digest)
        return found

    def open(self, blob: Blob) -> AbstractContextManager[Reader]:
        """A blob's bytes; where the connection breaks off, the rest is asked for again."""
        if "+encrypted" in blob.media_type:
            raise BlobError(
                f"{blob.name} is encrypted", why="its media type says so", hint="scan the image before it is encrypted"
            )
        return self._opened(blob)

    @contextmanager
    def _opened(self, blob: Blob) -> Iterator[Reader]:
        pull = _Pull(self, blob)
        try:
            yield pull
        finally:
            pull.close()

    def size(self, blob: Blob) -> int:
        """Of a layer, as its manifest says."""
        return blob.size or 0

    def mark(self, blob: Blob) -> str:
        """Nothing here changes under a digest."""
        del blob
        return ""

    def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            self._pool.clear()

    # Requests

    def _manifest(self, wanted: str, digest: str | None) -> tuple[bytes, str]:
        path = f"/v2/{self.reference.repository}/manifests/{quote(wanted, safe=':')}"
        data = self._whole(path, {"Accept": ", ".join(ACCEPTED)}, f"the manifest of {self.name}")
        if data is None:
            raise BlobError(
                f"the manifest of {self.name} is larger than {self._limits.document // MIB} MiB", hint=PULL_AGAIN
            )
        _check(data, digest)
        return data, digest or "sha256:" + hashlib.sha256(data).hexdigest()

    def _whole(self, path: str, headers: Mapping[str, str], what: str) -> bytes | None:
        """A document; None when it is too large. One that breaks off is asked for again."""
        import urllib3

        broken = 0
        while True:
            response = self.send(path, headers, what)
            try:
                return _body(response, self._limits.document)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                broken += 1
                if broken >= _TRIES:
                    raise self._unreachable(what, OSError(_plainly(error))) from None
                response.close()
                self._wait(broken, None)
            finally:
                response.release_conn()

    def blob_path(self, blob: Blob) -> str:
        """Where a blob is asked for."""
        return f"/v2/{self.reference.repository}/blobs/{blob.name}"

    def send(
        self, path: str, headers: Mapping[str, str], what: str, ok: tuple[int, ...] = (200,)
    ) -> urllib3.BaseHTTPResponse:
        """GET something of the registry; what passes by itself is tried again.

        Raises:
            RegistryError: the registry refused, failed, or cannot be reached.
        """
        tried = renewed = 0
        while True:
            token = self._let_in()
            try:
                response = self._get(f"{self._origin}{path}", {**headers, **token})
            except OSError as error:
                tried += 1
                if tried >= _TRIES:
                    raise self._unreachable(what, error) from None
                self._wait(tried, None)
                continue
            if response.status in ok:
                return response
            if response.status == 401 and renewed < 2:
                renewed += 1
                challenge = response.headers.get("WWW-Authenticate", "")
                response.drain_conn()
                self._sign_in(challenge, what, again=bool(token))
                continue
            if response.status in _PASSING and tried < _TRIES - 1:
                tried += 1
                after = response.headers.get("Retry-After")
                response.drain_conn()
                self._wait(tried, after)
                continue
            raise self._refused(response, what)

    def _get(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """GET, along redirects. What lets us in is sent to the registry's own host only.

        Raises:
            OSError: no answer.
        """
        import urllib3

        own = urlsplit(url)
        for _ in range(_REDIRECTS + 1):
            try:
                response = self._http().request(
                    "GET",
                    url,
                    headers=dict(headers),
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
            except urllib3.exceptions.SSLError as error:
                if "CERTIFICATE" not in str(error).upper() and self._may_be_plain(url):
                    self._scheme = "http"
                    url = "http" + url.removeprefix("https")
                    continue
                raise _TlsError(str(error)) from None
            except urllib3.exceptions.HTTPError as error:
                raise OSError(_plainly(error)) from None
            if response.status not in {301, 302, 303, 307, 308}:
                return response
            response.drain_conn()
            try:
                target = urljoin(url, response.headers.get("Location", ""))
                to = urlsplit(target)
            except ValueError:
                raise _RedirectError("it redirects to what is no address") from None
            if to.scheme not in {"http", "https"} or (to.scheme == "http" and own.scheme == "https"):
                raise _RedirectError(f"it redirects to {to.scheme}://{to.netloc}, which is not encrypted")
            if (to.scheme, to.netloc) != (own.scheme, own.netloc):
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            url = target
        raise _RedirectError("it redirects without end")

    def _http(self) -> urllib3.PoolManager:
        with self._lock:
            if self._pool is None:
                import ssl

                import urllib3

                context = ssl.create_default_context()
                if self._access.ca_file is not None:
                    try:
                        context.load_verify_locations(cafile=str(self._access.ca_file))
                    except OSError as error:
                        raise ImageError(
                            f"the certificates in {self._access.ca_file} cannot be read",
                            why=error.strerror or "no PEM",
                            hint="name a file of PEM certificates",
                        ) from None
                timeout = urllib3.Timeout(connect=_CONNECT, read=_READ)
                proxy = None if _is_loopback(self.reference.host) else _proxy(self.reference.host)
                options: dict[str, Any] = {"ssl_context": context, "timeout": timeout, "maxsize": 8}
                self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            return self._pool

    @property
    def _origin(self) -> str:
        return f"{self._scheme}://{self.reference.host}"

    def _may_be_plain(self, url: str) -> bool:
        """Whether plain http may be tried: for this machine only, where nobody listens in between."""
        return url.startswith(f"https://{self.reference.host}/") and _is_loopback(self.reference.host)

    def _wait(self, tried: int, after: str | None) -> None:
        told = _seconds(after)
        wait = told if told is not None else min(15.0, 0.5 * 2.0**tried) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._access.sleep(min(wait, _LONGEST_WAIT))

    # Signing in

    def _let_in(self) -> dict[str, str]:
        with self._lock:
            tokens = self._tokens
            if tokens is None or (tokens.ends and tokens.ends < time.time()):
                return {}
            return tokens.headers

    def _sign_in(self, challenge: str, what: str, *, again: bool) -> None:
        """Do what a 401 asks for.

        Raises:
            RegistryError: nothing that is known lets us in.
        """
        with self._lock:
            if not self._asked_login:
                self._login = self._access.login(self.reference.server)
                self._asked_login = True
            login = self._login
        scheme, _, rest = challenge.strip().partition(" ")
        said = {name.lower(): quoted.replace('\\"', '"') or bare for name, quoted, bare in _PARAMETER.findall(rest)}
        if scheme.lower() == "bearer" and said.get("realm"):
            tokens = self._bearer(said, login, what)
        elif scheme.lower() == "basic" and login is not None and login.basic is not None and not again:
            tokens = _Tokens({"Authorization": f"Basic {reveal(login.basic)}"})
        else:
            raise self._denied(what, 401, "" if login else "no credentials for it are known")
        with self._lock:
            self._tokens = tokens

    def _bearer(self, said: dict[str, str], login: Login | None, what: str) -> _Tokens:
        """A token from the server that the registry names.

        With an identity token the OAuth 2 form is used (POST), else the older one (GET), as Docker does.
        """
        try:
            realm = urljoin(f"{self._origin}/", said["realm"])
            to = urlsplit(realm)
        except ValueError:
            raise self._denied(what, 401, "it names a token server that is no address") from None
        if to.scheme != "https" and not (to.scheme == "http" and (_is_loopback(to.netloc) or self._access.plain_http)):
            raise self._denied(
                what, 401, f"it names the token server {to.scheme}://{to.netloc}, which is not encrypted"
            )
        scope = said.get("scope") or f"repository:{self.reference.repository}:pull"
        service = said.get("service", "")
        headers: dict[str, str] = {}
        if login is not None and login.identity_token is not None:
            if to.hostname != urlsplit(self._origin).hostname and not self._same_site(to.hostname or ""):
                raise self._denied(what, 401, f"it names the token server {to.netloc}, which is not its own")
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": "keylift",
                "scope": scope,
                "refresh_token": reveal(login.identity_token),
            }
            method, url, body = "POST", realm, urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            query = urlencode(
                [*([("service", service)] if service else []), *[("scope", one) for one in scope.split(" ")]]
            )
            method, url, body = "GET", f"{realm}{'&' if to.query else '?'}{query}", None
            if login is not None and login.basic is not None:
                headers["Authorization"] = f"Basic {reveal(login.basic)}"
        return self._token(method, url, headers, body, what)

    def _same_site(self, host: str) -> bool:
        """Whether a token server belongs to the registry: Docker Hub's is auth.docker.io."""
        own = (urlsplit(self._origin).hostname or "").split(".")
        return len(own) >= 2 and host.split(".")[-2:] == own[-2:] and not own[-1].isdigit()

    def _token(self, method: str, url: str, headers: dict[str, str], body: bytes | None, what: str) -> _Tokens:
        import urllib3

        tried = 0
        while True:
            try:
                answer = self._http().request(
                    method, url, headers=headers, body=body, redirect=False, retries=False, preload_content=False
                )
                data = _body(answer, _ANSWER)
                answer.release_conn()
            except urllib3.exceptions.HTTPError as error:
                tried += 1
                if tried >= _TRIES:
                    raise self._unreachable(f"a token for {what}", OSError(_plainly(error))) from None
                self._wait(tried, None)
                continue
            if answer.status in _PASSING and tried < _TRIES - 1:
                tried += 1
                self._wait(tried, answer.headers.get("Retry-After"))
                continue
            if answer.status != 200:
                raise self._denied(what, answer.status, f"its token server answered {answer.status}")
            break
        try:
            said = json.loads(data or b"")
            token = said.get("token") or said.get("access_token")
            seconds = said.get("expires_in")
        except (ValueError, AttributeError, RecursionError):
            token, seconds = None, None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise self._denied(what, 200, "its token server gave no token")
        seconds = seconds if isinstance(seconds, int | float) and seconds > 0 else 60
        return _Tokens({"Authorization": f"Bearer {token}"}, time.time() + max(5.0, seconds * 0.9))

    # Errors

    def _denied(self, what: str, status: int, why: str) -> RegistryError:
        server = self.reference.server
        hint = f"sign in and scan again: docker login {server}"
        if re.search(r"\.azurecr\.(io|cn|us)$", server):
            hint = f"sign in and scan again: az login (your account needs AcrPull on {server.partition('.')[0]})"
        return RegistryError(f"{server} does not give {what}", why=why or "access denied", hint=hint, status=status)

    def _refused(self, response: urllib3.BaseHTTPResponse, what: str) -> ImageError:
        reason = _reason(response)
        response.drain_conn()
        status = response.status
        if status in {401, 403}:
            return self._denied(what, status, reason)
        if status == 404:
            why = reason or "there is no such repository, tag or digest, or you may not see it"
            return RegistryError(
                f"{self.reference.server} has no {what.removeprefix('the ')}",
                why=why,
                hint="check the name; docker login where it is private",
                status=404,
            )
        if status == 429:
            return RegistryError(
                f"{self.reference.server} is throttling",
                why=reason or "too many requests",
                hint="sign in (docker login), or try later",
                status=429,
            )
        why = reason or f"status {status}"
        return RegistryError(
            f"{self.reference.server} failed to give {what}", why=why, hint="try again later", status=status
        )

    def _unreachable(self, what: str, error: OSError) -> RegistryError:
        server = self.reference.server
        hint = "check the name and the network"
        if isinstance(error, _TlsError):
            hint = "trust the registry's certificate authority: --ca-file FILE"
            if "WRONG_VERSION" in str(error) or "record layer" in str(error):
                hint = "if it really speaks plain http: --plain-http"
        return RegistryError(f"{server} cannot be asked for {what}", why=str(error), hint=hint)


class _TlsError(OSError):
    """The other side cannot be trusted, or speaks no TLS."""


class _RedirectError(OSError):
    """Where we were sent is nowhere to go."""


class _Pull:
    """A blob as it comes, asked for again from where it broke off."""

    def __init__(self, registry: Registry, blob: Blob) -> None:
        self._registry = registry
        self._blob = blob
        self._response: urllib3.BaseHTTPResponse | None = None
        self._at = 0
        self._skip = 0
        self._broken = 0
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """As `Reader.read`."""
        import urllib3

        while not self._ended:
            if self._response is None:
                self._ask()
            assert self._response is not None
            try:
                data = self._response.read(min(size, self._skip) if self._skip else size)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                self._again(_plainly(error))
                continue
            if not data:
                if self._blob.size is not None and self._at < self._blob.size:
                    self._again(f"{self._at} of {self._blob.size} bytes came")
                    continue
                self._ended = True
                self.close()
                break
            if self._skip:
                self._skip -= len(data)
                continue
            self._at += len(data)
            self._broken = 0 if len(data) >= 65536 else self._broken
            if self._blob.size is not None and self._at > self._blob.size:
                raise BlobError(
                    "is longer than its manifest says", why=f"more than {self._blob.size} bytes", hint=PULL_AGAIN
                )
            return data
        return b""

    def _ask(self) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._at:
            headers["Range"] = f"bytes={self._at}-"
        registry, blob = self._registry, self._blob
        response = registry.send(registry.blob_path(blob), headers, f"the blob {blob.name}", ok=(200, 206, 416))
        self._skip = 0
        if response.status == 206:
            begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if begin is None or int(begin[1]) != self._at:
                response.close()
                raise BlobError("came from another place than was asked for", why="a broken range", hint=PULL_AGAIN)
        elif response.status == 416:
            # There is nothing beyond what we have: what came was all of it, or the digest will tell.
            response.drain_conn()
            self._ended = True
        else:
            # No ranges here: the beginning comes again and is passed over. The digest tells whether it was the same.
            self._skip = self._at
        self._response = response

    def _again(self, why: str) -> None:
        self.close()
        self._broken += 1
        if self._broken >= _TRIES:
            raise BlobError(
                "cannot be pulled whole",
                why=f"the connection broke off {self._broken} times; {why}",
                hint="try again later",
            )
        self._registry._wait(self._broken, None)  # noqa: SLF001 - one mechanism in two classes

    def close(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None


def _body(response: urllib3.BaseHTTPResponse, most: int) -> bytes | None:
    """A whole answer; None when it is too long."""
    parts, have = [], 0
    while data := response.read(65536):
        parts.append(data)
        have += len(data)
        if have > most:
            response.close()
            return None
    return b"".join(parts)


def _check(data: bytes, digest: str | None) -> None:
    if digest:
        algorithm, _, told = digest.partition(":")
        got = hashlib.new(algorithm, data).hexdigest()
        if got != told:
            raise BlobError(
                f"{digest} is not what came", why=f"its bytes have the digest {algorithm}:{got}", hint=PULL_AGAIN
            )


def _reason(response: urllib3.BaseHTTPResponse) -> str:
    """The registry's own words for an error, as far as they are fit to be shown."""
    import urllib3

    try:
        said = json.loads(_body(response, _ANSWER) or b"")
        first = said["errors"][0]
        text = f"{first.get('code', '')}: {first.get('message', '')}"
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        RecursionError,
        OSError,
        urllib3.exceptions.HTTPError,
    ):
        return ""
    return "".join(sign for sign in text if sign.isprintable())[:200].strip(": ")


def _plainly(error: Exception) -> str:
    """What went wrong on the wire, without addresses and queries."""
    text = str(getattr(error, "reason", "") or error)
    text = re.sub(r"^.*?: (?=[A-Z])", "", text) if text.startswith(("<", "HTTP")) else text
    return re.sub(r"\?\S*", "", text)[:200] or type(error).__name__


def _seconds(after: str | None) -> float | None:
    """`Retry-After` as seconds from now."""
    if not after:
        return None
    if after.strip().isdigit():
        return float(after)
    try:
        moment = email.utils.parsedate_to_datetime(after)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _proxy(host: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    return None if proxy_bypass(host) else getproxies().get("https")
