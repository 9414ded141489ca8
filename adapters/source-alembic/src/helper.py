"""What walkback asks of a project's own Alembic. It reads one request from stdin and answers on stdout, both JSON."""

import contextlib
import datetime
import decimal
import importlib
import io
import json
import math
import os
import queue
import sys
import threading
import traceback

# What `env.py` and the revisions print is for people; it must not get between the lines of the answer.
ANSWER = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
REQUEST = json.loads(sys.stdin.buffer.readline())


WORDS = queue.SimpleQueue()


def watch():
    """Ends with whoever asked: a migration must not go on after its walkback was killed."""
    while word := os.read(0, 4096):
        WORDS.put(word.strip())
    os._exit(143)


threading.Thread(target=watch, daemon=True).start()


def goes_on():
    """Asks whether to go on, with all that others must not write to held."""
    ANSWER.write("held\n")
    ANSWER.flush()
    return WORDS.get() == b"go"


def answer(**what):
    json.dump(what, ANSWER)
    ANSWER.flush()
    # What is left runs no longer: threads of the project's own could hold the process.
    sys.stderr.flush()
    os._exit(0)


def fail(kind, error, revision=None):
    frames = traceback.extract_tb(error.__traceback__)
    place = [(os.path.abspath(frame.filename), frame.lineno) for frame in frames if frame.filename != "<string>"]
    # Where a revision stands is of more use than where Alembic was then.
    own = [p for p in place if revision is not None and p[0] == os.path.abspath(revision.path)]
    own = own or [p for p in place if p[0].startswith(REQUEST["folder"]) and "site-packages" not in p[0]]
    traceback.print_exception(type(error), error, error.__traceback__)
    at = (own or place or [None])[-1]
    answer(error={"kind": kind, "message": say(error), "at": at})


def say(error):
    # What the driver says, and not what SQLAlchemy makes of it.
    error = getattr(error, "orig", None) or error
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


try:
    import alembic
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config
    from alembic.operations import Operations
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
except ImportError as error:
    fail("no-alembic", error)


class Asks(BaseException):
    """A revision asks the database. No error of its own: a revision may catch those."""


class Result:
    """What a statement would have given, which nobody knows here."""

    def __init__(self, statement):
        self._statement = statement

    def __getattr__(self, name):
        raise Asks("it reads what a statement gives")

    def __iter__(self):
        raise Asks("it reads what a statement gives")

    __bool__ = __len__ = __next__ = __enter__ = __iter__


class Connection:
    """What `op.get_bind()` gives where there is no database: it says what it is of, and takes statements."""

    def __init__(self, context):
        self.__dict__["_context"] = context
        self.__dict__["dialect"] = context.dialect
        self.__dict__["engine"] = Engine(context)

    def execute(self, statement, parameters=None, **options):
        if isinstance(statement, str):
            statement = sa.text(statement)
        if isinstance(parameters, (list, tuple)) and len(parameters) == 1:
            parameters = parameters[0]
        if parameters is not None and not isinstance(parameters, dict):
            raise Asks("it runs a statement with many rows of parameters")
        if options or getattr(statement, "is_select", False) or reads(statement):
            raise Asks("it reads from the database")
        if parameters:
            statement = statement.bindparams(**parameters) if hasattr(statement, "bindparams") else statement.values(**parameters)
        self._context.impl._exec(statement)
        return Result(statement)

    def exec_driver_sql(self, statement):
        if "%" in statement and self.dialect.name != "sqlite":
            raise Asks("it gives the driver a percent sign, which is the driver's to read")
        return self.execute(sa.text(statement.replace(":", r"\:")))

    def __getattr__(self, name):
        if name == "_sa_instance_state":
            raise Asks("it inspects the database")
        raise Asks(f"it uses the connection to the database (`{name}`)")


class Engine:
    def __init__(self, context):
        self.__dict__["dialect"] = context.dialect
        self.__dict__["name"] = context.dialect.name

    def __getattr__(self, name):
        raise Asks(f"it uses the connection to the database (`engine.{name}`)")


def reads(statement):
    text = str(getattr(statement, "text", "")).lstrip(" (\n\t").lower()
    return text.startswith(("select", "show", "with", "pragma", "table", "values", "explain", "call"))


# The values whose literal is, in each database, what the driver would have sent for them.
PLAIN = (type(None), bool, int, str, decimal.Decimal, datetime.date, datetime.time)


def exactly(context):
    """Has statements written as the database gets them from a driver, whatever `env.py` says of that."""
    dialect, impl = context.dialect, context.impl
    # The styles of drivers double each percent sign, and the driver takes that back: here is none.
    dialect.paramstyle, dialect.positional = "named", False
    dialect.identifier_preparer = dialect.preparer(dialect)
    if dialect.name == "postgresql":
        # What it takes for granted until it is connected, and finds otherwise then.
        dialect._backslash_escapes = False

    class Exactly(dialect.statement_compiler):
        """Writes each value as a literal, or says that only a driver can."""

        texts = 0

        def visit_textclause(self, clause, *rest, **options):
            self.texts += 1
            try:
                return super().visit_textclause(clause, *rest, **options)
            finally:
                self.texts -= 1

        def render_literal_bindparam(self, parameter, *rest, **options):
            if parameter.required and parameter.value is None and parameter.callable is None:
                raise Asks(f"it gives no value for the parameter `{parameter.key}`")
            if parameter.value is None and parameter.type.should_evaluate_none:
                raise Asks("it writes a null of its own type")
            return super().render_literal_bindparam(parameter, *rest, **options)

        def render_literal_value(self, value, type_):
            # How exact a number is that is no column's yet depends on the driver.
            is_number = isinstance(value, float) and math.isfinite(value) and getattr(self, "isinsert", False)
            if not (is_number or isinstance(value, PLAIN)) or getattr(value, "tzinfo", None) is not None:
                raise Asks(f"it writes a value of the type `{type(value).__name__}`")
            text = super().render_literal_value(value, type_)
            # SQLAlchemy reads a text again after it has put the values into it.
            if "\0" in text or self.texts and r"\:" in text:
                raise Asks("it writes a text that cannot be a literal")
            return text

    dialect.statement_compiler = Exactly

    def _exec(construct, execution_options=None, multiparams=None, params=None):
        if multiparams or params:
            raise Asks("it gives parameters beside the statement")
        if isinstance(construct, str):
            construct = sa.text(construct)
        options = {} if isinstance(construct, sa.schema.DDLElement) else {"compile_kwargs": {"literal_binds": True}}
        compiled = construct.compile(dialect=dialect, **options)
        if getattr(compiled, "binds", None):
            raise Asks("it writes values that only a driver can send")
        sql = str(compiled).strip()
        impl.static_output(sql + ("\n;" if any(mark in sql.split("\n")[-1] for mark in ("--", "#")) else ";"))

    impl._exec = _exec


def configuration():
    given = REQUEST["ini"]
    project = given if given.endswith(".toml") else os.path.join(os.path.dirname(given), "pyproject.toml")
    # Alembic reads both, as its command line does; versions before 1.16 know only the first.
    options = {"toml_file": project} if os.path.exists(project) and hasattr(Config, "toml_file_name") else {}
    return Config(None if given == project else given, ini_section=REQUEST["section"], **options)


DIALECTS = {"postgres": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}


def offline():
    """Gives the SQL of all revisions, in both directions, or why there is none."""
    config = configuration()
    config.set_main_option("sqlalchemy.url", DIALECTS[REQUEST["dialect"]] + "://")
    script = ScriptDirectory.from_config(config)
    gathered = {}

    def gather(_, context):
        gathered["version_table"] = [context.version_table, context.version_table_schema]
        exactly(context)
        with Operations.context(context):
            for revision in script.walk_revisions():
                if REQUEST["ids"] is None or revision.revision in REQUEST["ids"]:
                    for direction in ("upgrade", "downgrade"):
                        gathered[revision.revision, direction] = one(context, revision, direction)
        gathered["all"] = True
        return []

    environment = EnvironmentContext(
        config, script, fn=gather, as_sql=True, starting_rev=None, destination_rev=None, output_buffer=io.StringIO()
    )
    try:
        with environment:
            script.run_env()
    except Asks as asks:
        return {"env": str(asks)}
    except ImportError as error:
        fail("env", error)
    except Exception as error:
        if "version_table" not in gathered:
            return {"env": f"`env.py` does not run without a database: {say(error)}"}
        if "all" not in gathered:
            fail("alembic", error)
    if "version_table" not in gathered:
        return {"env": "`env.py` runs no migrations without a database"}
    table = gathered.pop("version_table")
    gathered.pop("all")
    scripts = [dict(id=id, direction=way, **script) for (id, way), script in gathered.items()]
    return {"scripts": scripts, "version_table": table}


def one(context, revision, direction):
    path = os.path.abspath(revision.path)
    statements = []
    left = []

    def static_output(text):
        frame, line = sys._getframe(1), None
        while frame is not None and line is None:
            if os.path.abspath(frame.f_code.co_filename) == path:
                line = frame.f_lineno
            frame = frame.f_back
        statements.append({"sql": text, "line": line})

    impl = context.impl
    impl.static_output = static_output
    impl.emit_begin = lambda: None
    impl.emit_commit = lambda: left.append(True)
    connection = Connection(context)
    of_class = MigrationContext.__dict__
    bind, get_bind = of_class["bind"], Operations.get_bind
    offline_mode = EnvironmentContext.is_offline_mode
    MigrationContext.bind = property(lambda _: connection)
    Operations.get_bind = lambda _: connection
    EnvironmentContext.is_offline_mode = lambda _: ask("it asks whether there is a database")
    try:
        getattr(revision.module, direction, lambda: None)()
        return {"statements": statements, "transaction": not left}
    except Asks as asks:
        return {"why": str(asks)}
    except Exception as error:
        return {"why": f"it cannot be written as SQL: {say(error)}"}
    finally:
        MigrationContext.bind = bind
        Operations.get_bind = get_bind
        EnvironmentContext.is_offline_mode = offline_mode


def ask(why):
    raise Asks(why)


def graph():
    """Gives what the revisions say of themselves when they are run."""
    script = ScriptDirectory.from_config(configuration())
    tuples = lambda value: [] if value is None else [value] if isinstance(value, str) else list(value)
    return {
        "revisions": [
            {
                "file": os.path.abspath(revision.path),
                "id": revision.revision,
                "down": tuples(revision.down_revision),
                "labels": sorted(getattr(revision.module, "branch_labels", None) and tuples(revision.module.branch_labels) or []),
                "depends_on": tuples(revision.dependencies),
            }
            for revision in script.walk_revisions()
        ]
    }


def create():
    """Writes a new revision file as `alembic revision` does."""
    revision = command.revision(
        configuration(),
        message=REQUEST["message"],
        head=REQUEST["heads"] or "head",
        splice=bool(REQUEST["heads"]),
        rev_id=REQUEST["id"],
    )
    return {"file": os.path.abspath(revision.path)}


def url_of(login, configured):
    """Gives the URL of the database, with the driver that the project uses."""
    backend = DIALECTS[REQUEST["dialect"]]
    driver = backend
    query = {}
    try:
        usual = sa.make_url(configured) if configured else None
        if usual is not None and usual.get_backend_name().replace("mariadb", "mysql") == backend:
            driver, query = usual.drivername, dict(usual.query)
    except sa.exc.ArgumentError:
        pass
    if driver == backend:
        driver += installed(DRIVERS.get(backend, ()))
    if backend == "sqlite":
        return sa.URL.create(driver, database=login["database"], query=query)
    host, parameters = login.get("host"), login.get("parameters", {})
    if backend == "postgresql":
        query = {name: value for name, value in query.items() if name not in parameters}
        if "asyncpg" not in driver and "pg8000" not in driver:
            query.update(parameters)
        if host and host.startswith("/"):
            query["host"], host = host, None
    else:
        if login.get("socket"):
            query["unix_socket"] = login["socket"]
        if parameters.get("ssl-ca"):
            query.setdefault("ssl_ca", parameters["ssl-ca"])
            query.setdefault("ssl_check_hostname", "false" if parameters.get("ssl-mode") == "VERIFY_CA" else "true")
    return sa.URL.create(
        driver,
        username=login.get("user"),
        password=login.get("password"),
        host=host,
        port=login.get("port"),
        database=login["database"],
        query=query,
    )


# The modules of the drivers, and what SQLAlchemy calls these.
DRIVERS = {
    "postgresql": [("psycopg2", "psycopg2"), ("psycopg", "psycopg"), ("pg8000", "pg8000")],
    "mysql": [("MySQLdb", "mysqldb"), ("pymysql", "pymysql"), ("mysql.connector", "mysqlconnector")],
}


def installed(drivers):
    for module, name in drivers:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
            return "+" + name
    return ""


def run():
    """Runs one revision on the database, and leaves the version table alone."""
    config = configuration()
    url = url_of(REQUEST["login"], config.get_main_option("sqlalchemy.url"))
    text = url.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", text.replace("%", "%%"))
    os.environ.setdefault("DATABASE_URL", text)
    script = ScriptDirectory.from_config(config)
    revision = script.get_revision(REQUEST["id"])
    ran = []

    def step(_, context):
        # The transaction that Alembic would give it, where `env.py` gives none to all of them.
        with context.begin_transaction(_per_migration=True):
            watched = bool(REQUEST["first"])
            # Where each statement is a transaction of its own nothing can be held.
            holds = watched and context.connection.get_isolation_level() != "AUTOCOMMIT"
            for sql in (REQUEST["first"] if holds else []):
                execute(context, sql)
            if watched and not goes_on():
                raise Stopped("it was not to go on")
            getattr(revision.module, REQUEST["direction"])()
            for sql in (REQUEST["last"] if holds else []):
                execute(context, sql)
            if execute(context, REQUEST["proof"]).rowcount != 1:
                raise Elsewhere(f"`env.py` connects to another database: {context.connection.engine.url!r}")
        ran.append(True)
        return []

    environment = EnvironmentContext(config, script, fn=step, as_sql=False, starting_rev=None, destination_rev=REQUEST["id"])
    try:
        with environment:
            script.run_env()
    except Elsewhere as error:
        fail("elsewhere", error)
    except Stopped as error:
        fail("stopped", error)
    except sa.exc.DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
        fail("locked" if state == "55P03" else "database", error, revision)
    except Exception as error:
        fail("revision", error, revision)
    if not ran:
        fail("env", RuntimeError("`env.py` runs no migrations"))
    return {}


def execute(context, sql):
    return context.connection.execute(sa.text(sql.replace(":", r"\:")))


class Stopped(Exception):
    """What was kept before the migration is no longer what is there."""


class Elsewhere(Exception):
    """The migration would run on a database that walkback does not know."""


try:
    answer(ok={"scripts": offline, "graph": graph, "create": create, "run": run}[REQUEST["what"]]())
except Exception as error:
    fail("alembic", error)
