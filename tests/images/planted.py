"""An image with a secret in each of the places where people leave them."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping

from tests.images.build import Made, jar, tar

_DICE = random.Random(4)


def password(length: int = 24) -> str:
    """Another one each time; with digits, so that nobody takes it for words."""
    while True:
        made = "".join(_DICE.choice(string.ascii_letters + string.digits) for _ in range(length))
        if sum(sign.isdigit() for sign in made) >= 2:
            return made


LIVE = password()
DELETED = password()
ENV = password()
ARGUMENT = password()
JAR = password()
PLACES = {"live": LIVE, "deleted": DELETED, "env": ENV, "argument": ARGUMENT, "jar": JAR}


def image(architecture: str = "amd64", values: Mapping[str, str] = PLACES) -> Made:
    live, deleted, env, argument, inside = (values[name] for name in PLACES)
    base = tar({"etc/": None, "etc/os-release": b"ID=debian\n", "app/": None})
    first = tar(
        {
            "app/settings.ini": f"[db]\nhost = db\ndb_password = {live}\n".encode(),
            "app/build/": None,
            "app/build/deploy.env": f"DEPLOY_PASSWORD={deleted}\n".encode(),
            "app/shop.jar": jar(
                {
                    "META-INF/MANIFEST.MF": b"x",
                    "application.properties": f"spring.datasource.password={inside}\n".encode(),
                }
            ),
        }
    )
    last = tar({"app/build/.wh.deploy.env": b"", "app/run": b"#!/bin/sh\nexec java -jar /app/shop.jar\n"})
    return Made(
        [base, first, last],
        env=[f"DB_PASSWORD={env}"],
        history=[
            {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
            {"created_by": f"ENV DB_PASSWORD={env}", "empty_layer": True},
            {"created_by": f"RUN |2 FEED_PASSWORD={argument} MODE=release /bin/sh -c make install # buildkit"},
            {"created_by": "RUN /bin/sh -c rm app/build/deploy.env # buildkit"},
        ],
        architecture=architecture,
    )
