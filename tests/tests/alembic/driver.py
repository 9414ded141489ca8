"""Alembic, as its command line would run it, kept running: one command a line on stdin, one answer a line on stdout."""

import io
import json
import os
import sys

from alembic import command
from alembic.config import Config

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def url_of(url):
    scheme, rest = url.split(":", 1)
    driver = {"postgres": "postgresql+psycopg2", "mysql": "mysql+pymysql", "sqlite": "sqlite"}[scheme]
    return driver + ":" + (rest if scheme != "sqlite" else "///" + rest)


def run(ini, url, name, arguments, options):
    output = io.StringIO()
    config = Config(ini, stdout=output)
    config.set_main_option("sqlalchemy.url", url_of(url).replace("%", "%%"))
    if name == "url":
        return {"ok": True, "output": url_of(url)}
    try:
        getattr(command, name)(config, *arguments, **options)
        return {"ok": True, "output": output.getvalue()}
    except Exception as error:
        # Some targets run into its own assertions.
        return {"ok": False, "output": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(run(**request)), file=ANSWERS, flush=True)
