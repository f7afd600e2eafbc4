"""Container images: every file of every layer and the configuration, from registries, archives, folders and streams.

No container engine is needed, and nothing is unpacked to disk. Layers are judged in parallel, each once however many
images share it, and not again while the rules stay the same.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scanners.engine import Engine
from scanners.images import config as configs
from scanners.images import whiteouts
from scanners.images.archive import Layout, Streamed, open_local
from scanners.images.cache import LayerCache
from scanners.images.copies import Copies
from scanners.images.errors import PULL_AGAIN, BlobError, ImageError
from scanners.images.finds import Find, LayerFinds
from scanners.images.judging import Judge
from scanners.images.layers import LayerScanner
from scanners.images.limits import DEFAULT, Limits
from scanners.images.manifests import Blob, Image
from scanners.images.streams import Digesting, Reader, unpacked
from scanners.model import Finding, Fingerprinter, Report
from scanners.sources import forking

if TYPE_CHECKING:
    from scanners.allow import Allow
    from scanners.images.registry import Access

Progress = Callable[[int, int], None]
"""Told how many bytes of how many were read; the second may grow."""
_MANY_BYTES = 4 * 1024 * 1024
"""To be judged: from here on copies of the process pay."""
_ALL_SORTS = b"password = warm cGFzc3dvcmQ6IGhlbGxvLWZyb20taW5zaWRlLWhlcmU="
"""What brings in everything that the engine imports when it is needed."""
_LOCAL = ("-", ".", "/", "~")
_FILES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
"""What files are called, and images in registries are not: one that is missing is not looked for there."""


class Store(Protocol):
    """Where images are."""

    def images(self, platform: str | None, told: Callable[[str, ImageError], None]) -> list[Image]: ...

    def small(self, blob: Blob, most: int) -> bytes: ...

    def open(self, blob: Blob) -> AbstractContextManager[Reader]: ...

    def size(self, blob: Blob) -> int: ...

    def mark(self, blob: Blob) -> str: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Job:
    """A layer to judge."""

    key: str
    store: Store
    blob: Blob
    diff_id: str | None


@dataclass(slots=True)
class _Read:
    """An image whose configuration was read."""

    image: Image
    platform: str | None
    config: configs.Config
    keys: list[str] = field(default_factory=list)


def scan(
    targets: Sequence[str],
    *,
    engine: Engine,
    fingerprinter: Fingerprinter,
    platform: str | None = None,
    access: Callable[[], Access] | None = None,
    cache_dir: Path | None = None,
    allow: Allow | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    limits: Limits = DEFAULT,
) -> Report:
    """Scan images.

    What cannot be read of an image is an entry of `errors` and hides nothing else.

    Args:
        targets: references, files, folders, or `-` for standard input. What exists on disk is taken from there.
        engine: loaded rules.
        fingerprinter: tells equal values without showing them.
        platform: of a multi-architecture image: `linux/arm64`, `all`, or None for this machine's.
        access: gives how registries are reached, asked once and only if one is; None: as Docker's configuration says.
        cache_dir: where finds of layers are kept, without values; None keeps nothing.
        allow: says of each find whether it is new; paths are those in the image.
        progress: told how far it is.
        workers: threads, and processes that judge what they read; by default as many as there are cores.
        limits: how much is taken of anything.

    Raises:
        ImageError: there is one target, and nothing of it can be had.
    """
    with ExitStack() as stack:
        one = _Scan(engine, fingerprinter, platform, access, cache_dir, allow, progress, workers, limits)
        stack.callback(one.close)
        for target in dict.fromkeys(targets):
            try:
                store = one.store(target)
                stack.callback(store.close)
                one.add(store)
            except ImageError as error:
                if len(targets) == 1:
                    raise
                one.report.errors.append(error.entry(target))
        one.judge()
        return one.finish()


class _Scan:
    """One scan of any number of images."""

    def __init__(
        self,
        engine: Engine,
        fingerprinter: Fingerprinter,
        platform: str | None,
        access: Callable[[], Access] | None,
        cache_dir: Path | None,
        allow: Allow | None,
        progress: Progress | None,
        workers: int | None,
        limits: Limits,
    ) -> None:
        self.report = Report(scanned={})
        self._engine = engine
        self._fingerprinter = fingerprinter
        self._platform = platform
        self._access = access
        self._reached: Access | None = None
        self._allow = allow
        self._progress = progress
        self._workers = workers or _cores()
        self._limits = limits
        # What is allowed is not part of a layer's finds: with it they are not kept.
        self._cache = LayerCache(None if allow else cache_dir, fingerprinter, limits, plain=engine.plain)
        self._images: list[_Read] = []
        self._jobs: dict[str, _Job] = {}
        self._found: dict[str, LayerFinds] = {}
        self._reused = 0
        self._known: dict[str, LayerFinds] = {}
        self._copies: Copies | None = None
        self._lock = threading.Lock()
        self._done_bytes = self._all_bytes = 0
        self._scanners = threading.local()

    # Reading

    def store(self, target: str) -> Store:
        """Where an image is."""
        if target.startswith(_LOCAL) or target.endswith(_FILES) or "\\" in target or Path(target).exists():
            return open_local(target, self._limits, lambda what: self._odd(target, what), self._passing)
        from scanners.images.reference import parse
        from scanners.images.registry import Access, Registry

        reference = parse(target)
        if self._reached is None:
            self._reached = self._access() if self._access else Access()
        return Registry(reference, self._reached, self._limits)

    def add(self, store: Store) -> None:
        """Take in the images of a store.

        Raises:
            ImageError: there are none.
        """
        for image in store.images(self._platform, self._tell):
            try:
                config = configs.read(store.small(image.config, self._limits.config))
            except ImageError as error:
                # Without it the layers can be judged all the same.
                self._tell(image.name, error)
                config = configs.Config({})
            read = _Read(image, config.platform or image.platform, config)
            if config.diff_ids and len(config.diff_ids) != len(image.layers):
                what = f"names {len(image.layers)} layers, its configuration {len(config.diff_ids)}"
                self.report.errors.append({"where": image.name, "what": what, "hint": PULL_AGAIN})
            for number, blob in enumerate(image.layers):
                diff_id = config.diff_ids[number] if len(config.diff_ids) == len(image.layers) else None
                key = blob.digest or diff_id or f"{id(store)}:{blob.name}"
                read.keys.append(key)
                if key not in self._jobs:
                    self._jobs[key] = _Job(key, store, blob, diff_id)
                    self._all_bytes += blob.size or store.size(blob)
            self._images.append(read)

    def _odd(self, target: str, what: str) -> None:
        self.report.errors.append({"where": target, "what": what, "hint": PULL_AGAIN})

    def _tell(self, where: str, error: ImageError) -> None:
        self.report.errors.append(error.entry(where))

    def _passing(self, reader: Reader, name: str) -> LayerFinds:
        """A layer of a stream, judged as it goes by."""
        del name
        self._share()
        return self._scanner().scan(nullcontext(reader))

    # Judging

    def judge(self) -> None:
        """Judge all layers, large ones first."""
        jobs = sorted(self._jobs.values(), key=lambda job: -(job.blob.size or job.store.size(job.blob)))
        for job in jobs:
            known = self._cache.get(job.blob.digest or job.diff_id)
            if known is not None:
                self._known[job.key] = known
        if sum(job.blob.size or job.store.size(job.blob) for job in jobs if job.key not in self._known) > _MANY_BYTES:
            self._share()
        if self._workers == 1 or len(jobs) < 2:
            for job in jobs:
                self._found[job.key] = self._layer(job)
            return
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="layer")
        try:
            running: dict[Future[LayerFinds], str] = {pool.submit(self._layer, job): job.key for job in jobs}
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._found[running.pop(future)] = future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()

    def _share(self) -> None:
        """Have copies of this process judge, too, where it can be copied: threads share too little of the work."""
        if self._copies is None and self._workers > 1 and self._allow is None and forking.possible():
            judge = self._judge(lambda: self._engine)
            self._copies = Copies(judge.items, self._workers - 1, lambda: self._engine.matches(_ALL_SORTS))

    def _judge(self, engine: Callable[[], Engine]) -> Judge:
        return Judge(engine, self._fingerprinter, self._limits, self._allow)

    def close(self) -> None:
        """End what was started."""
        if self._copies is not None:
            self._copies.close()
            self._copies = None

    def _layer(self, job: _Job) -> LayerFinds:
        if isinstance(job.store, Layout) and isinstance(job.store.files, Streamed):
            return self._streamed(job, job.store.files)
        known = self._known.get(job.key)
        if known is not None and self._still(job):
            with self._lock:
                self._reused += 1
            self._seen(job.blob.size or job.store.size(job.blob))
            return known
        try:
            opened = job.store.open(job.blob)
        except ImageError as error:
            return LayerFinds(errors=[error.entry("")], whole=False)
        found = self._scanner().scan(opened, digest=job.blob.digest, diff_id=job.diff_id)
        if found.whole:
            self._cache.put(job.blob.digest or job.diff_id, found)
            self._cache.note(self._mark(job))
        return found

    def _streamed(self, job: _Job, stream: Streamed) -> LayerFinds:
        found = stream.finds(job.blob)
        if found is None:
            missing = BlobError("is missing", why="the archive has no such member", hint=PULL_AGAIN)
            return LayerFinds(errors=[missing.entry("")], whole=False)
        named = job.blob.digest or job.diff_id
        if named and named not in (found.digest, found.diff_id) and found.whole:
            what = f"its bytes have the digest {found.digest}: they are not what the manifest names"
            found.errors.insert(0, {"where": "", "what": what, "hint": PULL_AGAIN})
        return found

    def _still(self, job: _Job) -> bool:
        """Whether a layer on disk is the one that its digest names; a registry is not asked for it at all."""
        if not isinstance(job.store, Layout):
            return True
        mark = self._mark(job)
        if mark and self._cache.noted(mark):
            return True
        try:
            with job.store.open(job.blob) as reader:
                if job.blob.digest:
                    whole = Digesting(reader, job.blob.digest.partition(":")[0])
                    whole.drain()
                    same = whole.digest == job.blob.digest
                else:
                    packed = Digesting(reader)
                    plain = Digesting(_Unpacked(packed, self._limits))
                    plain.drain()
                    same = plain.digest == job.diff_id
        except ImageError:
            return False
        if same:
            self._cache.note(mark)
        return same

    def _mark(self, job: _Job) -> str:
        mark = job.store.mark(job.blob)
        return f"{mark} {job.blob.digest or job.diff_id}" if mark else ""

    def _scanner(self) -> LayerScanner:
        found: LayerScanner | None = getattr(self._scanners, "scanner", None)
        if found is None:
            # Each thread has an engine of its own, and with copies most often needs none.
            main = threading.current_thread() is threading.main_thread()
            judge = self._judge((lambda: self._engine) if main else functools.cache(self._engine.beside))
            found = LayerScanner(judge, limits=self._limits, copies=self._copies, seen=self._seen)
            self._scanners.scanner = found
        return found

    def _seen(self, size: int) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done_bytes += size
            self._progress(self._done_bytes, max(self._all_bytes, self._done_bytes))

    # Telling

    def finish(self) -> Report:
        """Everything found, put together by image."""
        report = self.report
        told: set[str] = set()
        for read in self._images:
            self._image(read, told)
        report.findings = list(report.ordered())
        report.errors.sort(key=lambda error: (str(error["where"]), str(error["what"])))
        found = self._found.values()
        report.scanned = {
            "images": len(self._images),
            "layers": len(self._found),
            "known layers": self._reused,
            "files": sum(one.files for one in found),
            "bytes": sum(one.unpacked for one in found),
        }
        return report

    def _image(self, read: _Read, told: set[str]) -> None:
        image, report = read.image, self.report
        judged = configs.judge(read.config, image.name, read.platform, self._engine, self._fingerprinter)
        report.findings += judged.findings
        layers = [self._found[key] for key in read.keys]
        steps = read.config.layer_steps()
        shown = (
            [judged.instructions.get(step.number, "") for step in steps]
            if len(steps) == len(layers)
            else [""] * len(layers)
        )
        digests = [blob.digest or layer.digest for blob, layer in zip(image.layers, layers, strict=True)]
        changes = [layer.changes if layer.entries or layer.whole else None for layer in layers]
        for number, layer in enumerate(layers):
            for find in layer.finds:
                report.findings.append(
                    self._placed(find, number, layer, changes, digests, image.name, read.platform, shown)
                )
            if read.keys[number] in told:
                continue
            told.add(read.keys[number])
            for error in layer.errors:
                where = f"{image.name}, layer {number + 1} ({digests[number] or image.layers[number].name})"
                report.errors.append({**error, "where": f"{where}, {error['where']}" if error["where"] else where})
        if read.config.document and read.config.root:
            user = f"USER {read.config.user}" if read.config.user else "no USER"
            report.notes.append({"where": image.name, "what": f"runs as root ({user})"})

    @staticmethod
    def _placed(
        find: Find,
        number: int,
        layer: LayerFinds,
        changes: Sequence[whiteouts.Changes | None],
        digests: Sequence[str],
        image: str,
        platform: str | None,
        shown: Sequence[str],
    ) -> Finding:
        names = [find.file, *layer.links.get(find.file, ())]
        fate = whiteouts.best(whiteouts.fate(name, number, changes) for name in names)
        return find.in_image(
            image=image,
            platform=platform,
            layer=digests[number],
            instruction=shown[number],
            deleted_by=None if fate.deleted_by is None else digests[fate.deleted_by],
            replaced_by=None if fate.replaced_by is None else digests[fate.replaced_by],
        )


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class _Unpacked:
    """What a blob unpacks to, as a reader."""

    def __init__(self, packed: Digesting, limits: Limits) -> None:
        self._chunks = unpacked(packed, limits, lambda: packed.size)

    def read(self, _size: int, /) -> bytes:
        return next(self._chunks, b"")
