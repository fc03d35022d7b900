"""Checkpoints in a bucket of S3, or of a server that speaks its language, for workers anywhere.

boto3 talks to it, and takes the endpoint and the credentials from where it always does, such as
`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; nothing of them is stored.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage

from optuna_nas.backends.require import require
from optuna_nas.exceptions import DescriptionError, StudyError
from optuna_nas.study.folder import CHECKPOINT, Folder, Stored, folder_name, folder_of
from optuna_nas.study.storages.opening import masked

if TYPE_CHECKING:
    from optuna.artifacts import Boto3ArtifactStore

__all__ = ["Bucket", "Url", "place_of", "url_of"]

URL = re.compile(r"s3://([\w.-]{1,255})((?:/[\w.=+-]+)*)/*", re.ASCII)
CONNECT_SECONDS = 5.0
"""How long a server may take to take a connection; boto3 tries again as it is told to."""

_logger = logging.getLogger(__name__)


class Url(NamedTuple):
    """What `s3://bucket/prefix` names.

    Args:
        bucket: The bucket.
        prefix: What the keys of all objects begin with; empty, or without a slash at its ends.
    """

    bucket: str
    prefix: str


def url_of(wanted: str | os.PathLike[str] | bool | None) -> Url | None:
    """The bucket that checkpoints are wanted in; None where they are wanted elsewhere.

    Args:
        wanted: As in `place_of`.

    Raises:
        DescriptionError: A URL of another kind, or one with credentials, which are not repeated.
    """
    text = "" if isinstance(wanted, bool | None) else os.fspath(wanted)
    if not re.match(r"\w+:/", text) or re.match(r"[A-Za-z]:/(?!/)", text):  # a folder; C:/ too
        return None
    found = URL.fullmatch(text)
    prefix = found[2].strip("/") if found else ""
    if found is None or {".", ".."} & set(prefix.split("/")):
        raise DescriptionError(
            "expected checkpoints as a folder, or as a string s3://bucket/prefix of letters, "
            f"digits and ._=+-, got {re.sub('/.*@', '/***@', text)!r}; boto3 takes credentials "
            "and the endpoint from its environment variables"
        )
    return Url(found[1], prefix)


def place_of(
    wanted: str | os.PathLike[str] | bool | None, name: str, storage: BaseStorage
) -> Folder | None:
    """The place for the checkpoints of a study.

    Args:
        wanted: As in `folder_of`; or `s3://bucket/prefix`, where each study has what is below
            `prefix/<name>.checkpoints`, and files pass through the folder that True stands for.
        name: Name of the study.
        storage: Where the study is.
    """
    url = url_of(wanted)
    folder = folder_of(wanted if url is None else True, name, storage)
    if folder is None or url is None:
        return None if folder is None else Folder(folder.absolute())
    prefix = "/".join(filter(None, [url.prefix, folder_name(name)]))
    return Bucket(folder, url.bucket, prefix)


@dataclass(frozen=True)
class Bucket(Folder):
    """Objects of a bucket, which stay on no machine for longer than they are read or written.

    Args:
        path: The local folder that they pass through.
        bucket: The bucket.
        prefix: What their keys begin with, without a slash at its ends.
    """

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def check(self) -> None:
        """Write, read, list and remove an object.

        Raises:
            NotInstalledError: boto3 is missing.
            StudyError: The bucket cannot be used; says what to set.
        """
        require("s3", "boto3")
        name = f"{uuid.uuid4().hex}.probe"
        try:
            with self._asking("write, read, list and remove objects there"):
                self._store.write(self._key(name), BytesIO())
                self._store.open_reader(self._key(name)).close()
                list(self._stored())
                self._store.remove(self._key(name))
        except StorageInternalError as error:
            raise StudyError(
                f"{error}; make the bucket, set AWS_ENDPOINT_URL (for a server that is not AWS), "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a local folder as "
                "checkpoints"
            ) from None

    def fetch(self, name: str) -> Path | None:
        """Download a file."""
        from optuna.artifacts.exceptions import ArtifactNotFound

        path = self.path / name
        try:
            with (
                self._asking(f"read {name}"),
                closing(self._store.open_reader(self._key(name))) as found,
            ):
                self.path.mkdir(parents=True, exist_ok=True)
                with self.part(name).open("wb") as file:
                    shutil.copyfileobj(found, file)
        except ArtifactNotFound:
            return None
        os.replace(self.part(name), path)
        return path

    def forget(self, name: str) -> None:
        super().remove(name)

    def put(self, name: str) -> None:
        """Upload a file, which is then no longer here."""
        with self._asking(f"write {name}"), self.part(name).open("rb") as file:
            self._store.write(self._key(name), file)
        super().remove(name)

    def remove(self, name: str) -> None:
        """Remove a file; where that cannot be done now, it stays, with a warning."""
        super().remove(name)
        try:
            self._drop(name)
        except StorageInternalError as error:
            _logger.warning(f"{error}; it stays there")

    def _stored(self) -> Iterator[Stored]:
        with self._asking("list objects"):
            pages = self._store.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._key("")):
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(self._key(""))
                    if name.endswith(CHECKPOINT):
                        yield Stored(found["LastModified"].timestamp(), found["Size"], name)

    def _drop(self, name: str) -> None:
        with self._asking(f"remove {name}"):
            self._store.remove(self._key(name))

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    @property
    def _store(self) -> Boto3ArtifactStore:
        from optuna.artifacts import Boto3ArtifactStore  # loads boto3: half a second

        return Boto3ArtifactStore(self.bucket, _client(os.getpid()), avoid_buf_copy=True)

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Raise what goes wrong as storages do: no trial is to blame for it, and it may pass.

        Args:
            what: What is done, for the error; it has no secrets.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError, HTTPError, ValueError) as error:
            reason = masked(f"{type(error).__name__}: {error}")[:500]
            raise StorageInternalError(f"cannot use {self} to {what}: {reason}") from None


@cache
def _client(process: int) -> Any:
    """A client of S3 for one process: connections do not outlive a fork."""
    import boto3
    from botocore.config import Config

    return boto3.Session().client("s3", config=Config(connect_timeout=CONNECT_SECONDS))
